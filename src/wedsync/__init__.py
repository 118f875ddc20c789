"""WedSync's database platform: a PostgreSQL you cannot lose."""

__version__ = "0.1.0"
