"""What the exposed schemas hold: tables, keys, relationships, functions, as PostgreSQL's catalogue says."""

from wedsync.database.catalogue.load import load_catalogue, read_fingerprint
from wedsync.database.catalogue.model import (
    ANY_ROW,
    Cardinality,
    Catalogue,
    Column,
    Function,
    Junction,
    Name,
    Parameter,
    Relationship,
    Table,
)
from wedsync.database.catalogue.source import CatalogueLoaded, CatalogueLoadFailed, CatalogueSource

__all__ = [
    "ANY_ROW",
    "Cardinality",
    "Catalogue",
    "CatalogueLoadFailed",
    "CatalogueLoaded",
    "CatalogueSource",
    "Column",
    "Function",
    "Junction",
    "Name",
    "Parameter",
    "Relationship",
    "Table",
    "load_catalogue",
    "read_fingerprint",
]
