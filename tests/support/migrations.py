"""Migration files and questions about what they did."""

from pathlib import Path

from wedsync.database import ConnectionTarget


def write(directory: Path, stem: str, text: str, *, rollback: str = "select 1;\n") -> None:
    """A migration beside its rollback."""
    (directory / f"{stem}.sql").write_text(text)
    (directory / f"{stem}.rollback.sql").write_text(rollback)


async def ask(target: ConnectionTarget, query: str) -> object:
    """The first column of a query's first row."""
    async with await target.connect() as connection:
        row = await (await connection.execute(query)).fetchone()  # type: ignore[arg-type]
    return None if row is None else row[0]


async def tell(target: ConnectionTarget, statement: str) -> None:
    """Run something by hand."""
    async with await target.connect() as connection:
        await connection.execute(statement)  # type: ignore[arg-type]
