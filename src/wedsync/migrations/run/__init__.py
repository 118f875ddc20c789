"""Run migrations: one runner at a time, beside the use of the database, resumed after a kill."""
