"""A request's query string as values: its shape, what to select, which rows, in which order."""

from wedsync.api.rest.query.limits import QueryLimits
from wedsync.api.rest.query.model import (
    Field,
    Filter,
    Given,
    Level,
    Logic,
    Order,
    Quantifier,
    Query,
    SelectField,
    SelectRelation,
    Shape,
    Value,
)
from wedsync.api.rest.query.parse import parse
from wedsync.api.rest.query.shape import shape_of

__all__ = [
    "Field",
    "Filter",
    "Given",
    "Level",
    "Logic",
    "Order",
    "Quantifier",
    "Query",
    "QueryLimits",
    "SelectField",
    "SelectRelation",
    "Shape",
    "Value",
    "parse",
    "shape_of",
]
