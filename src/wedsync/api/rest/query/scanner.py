"""Reading a text from left to right, remembering where."""

import re

from wedsync.api.rest.errors import RestError
from wedsync.api.rest.query.problems import unparsable

_NAME = re.compile(r"[\w $]+(?:-(?!>)[\w $]+)*")
_WORD = re.compile(r"[\w $]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_BLANKS = re.compile(r"[ \t]*")
FIELD_NAME = "field name (* or [a..z0..9_$])"


class Scanner:
    """A text and a position in it."""

    __slots__ = ("at", "shown", "text", "what")

    def __init__(self, what: str, text: str, *, shown: str | None = None) -> None:
        self.what = what
        """For messages: `select parameter`, `filter`, …"""
        self.text = text
        self.shown = text if shown is None else shown
        """What messages say the text is."""
        self.at = 0

    def failed(self, expecting: str) -> RestError:
        """The error that says what was expected here."""
        return unparsable(self.what, self.text, self.at, expecting, shown=self.shown)

    @property
    def done(self) -> bool:
        """Whether nothing is left."""
        return self.at >= len(self.text)

    def sees(self, *tokens: str) -> bool:
        """Whether one of the tokens is next."""
        return self.text.startswith(tokens, self.at)

    def take(self, token: str) -> bool:
        """Go past the token if it is next."""
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def take_one_of(self, *tokens: str) -> str | None:
        """Go past the first of the tokens that is next."""
        return next((token for token in tokens if self.take(token)), None)

    def need(self, token: str) -> None:
        """Go past the token, which has to be next."""
        if not self.take(token):
            raise self.failed(f'"{token}"')

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Go past what the pattern matches here."""
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def skip_blanks(self) -> None:
        """Go past blanks and tabs."""
        self.match(_BLANKS)

    def quoted(self) -> str | None:
        """A text in double quotes, without them and their backslashes."""
        found = self.match(_QUOTED)
        return _ESCAPED.sub(r"\1", found[1]) if found else None

    def name(self) -> str | None:
        """The name of a column or relation, if one is next; blanks around its parts do not belong to it."""
        quoted = self.quoted()
        if quoted is not None:
            return quoted
        found = self.match(_NAME)
        if not found:
            return None
        if found[0].isspace():
            self.at = found.start()
            return None
        return "-".join(part.strip() for part in found[0].split("-"))

    def need_name(self) -> str:
        """The name, which has to be next."""
        name = self.name()
        if name is None:
            raise self.failed(FIELD_NAME)
        return name

    def need_word(self) -> str:
        """Letters, digits, `_`, `$` and blanks: the name of a type, or a language."""
        found = self.match(_WORD)
        if not found:
            raise self.failed("letter or digit")
        return found[0].strip()
