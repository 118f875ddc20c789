"""Alembic's env.py: one connection by libpq's variables, one transaction or one each."""

import os

from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine("postgresql+psycopg://", poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(
        connection=connection, transaction_per_migration=bool(os.environ.get("TRANSACTION_PER_MIGRATION"))
    )
    with context.begin_transaction():
        context.run_migrations()
