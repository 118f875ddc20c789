"""What the exposed schemas hold: tables, keys, relationships, functions, as PostgreSQL's catalogue says."""

from wedsync.database.catalogue.model import (
    Cardinality,
    Catalogue,
    Column,
    Function,
    Parameter,
    Relationship,
    Table,
)

__all__ = ["Cardinality", "Catalogue", "Column", "Function", "Parameter", "Relationship", "Table"]
