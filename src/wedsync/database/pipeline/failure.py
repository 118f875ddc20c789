"""What PostgreSQL said when it refused a statement."""

from dataclasses import dataclass
from typing import Protocol

from psycopg.pq import DiagnosticField

from wedsync import errors


class ErrorFields(Protocol):
    """A result of libpq that is an error."""

    @property
    def error_message(self) -> bytes: ...
    def error_field(self, fieldcode: int, /) -> bytes | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerError:
    """The fields of an error as the server sent them (PostgreSQL manual, 55.8)."""

    severity: str
    """`ERROR`, or `FATAL` and `PANIC` where the connection ended with it; never translated."""
    sqlstate: str
    message: str
    detail: str | None = None
    hint: str | None = None
    position: int | None = None
    """Character of the statement, from 1."""
    context: str | None = None
    schema: str | None = None
    table: str | None = None
    column: str | None = None
    datatype: str | None = None
    constraint: str | None = None
    routine: str | None = None
    """The function in PostgreSQL's source that raised it."""

    @classmethod
    def of(cls, result: ErrorFields) -> "ServerError":
        """The error that `result` carries; one that libpq itself made has no SQLSTATE and counts as 08006."""
        field = result.error_field
        position = field(DiagnosticField.STATEMENT_POSITION)
        severity = field(DiagnosticField.SEVERITY_NONLOCALIZED) or field(DiagnosticField.SEVERITY)
        return cls(
            severity=_text(severity) or "FATAL",
            sqlstate=_text(field(DiagnosticField.SQLSTATE)) or "08006",
            message=_text(field(DiagnosticField.MESSAGE_PRIMARY)) or " ".join(_said(result).split()),
            detail=_text(field(DiagnosticField.MESSAGE_DETAIL)),
            hint=_text(field(DiagnosticField.MESSAGE_HINT)),
            position=int(position) if position else None,
            context=_text(field(DiagnosticField.CONTEXT)),
            schema=_text(field(DiagnosticField.SCHEMA_NAME)),
            table=_text(field(DiagnosticField.TABLE_NAME)),
            column=_text(field(DiagnosticField.COLUMN_NAME)),
            datatype=_text(field(DiagnosticField.DATATYPE_NAME)),
            constraint=_text(field(DiagnosticField.CONSTRAINT_NAME)),
            routine=_text(field(DiagnosticField.SOURCE_FUNCTION)),
        )

    @property
    def ends_connection(self) -> bool:
        """Whether the server closed the connection with it."""
        return self.severity != "ERROR"


class StatementFailed(errors.StatementFailed):
    """PostgreSQL refused a statement; the whole batch is undone. `said` has every field of its error."""

    def __init__(self, said: ServerError) -> None:
        super().__init__(said.message, detail=said.detail, hint=said.hint)
        self.said = said

    @property
    def sqlstate(self) -> str:
        """The five characters of the error's class and condition."""
        return self.said.sqlstate


def _text(field: bytes | None) -> str | None:
    return None if field is None else field.decode("utf-8", "replace")


def _said(result: ErrorFields) -> str:
    return result.error_message.decode("utf-8", "replace")
