"""What an address, a password and a redirect may be: plain decisions."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from wedsync.api.auth.errors import AuthError, invalid

_EMAIL = re.compile(r"[^\s@<>\"(),:;\\\[\]\x00-\x1f\x7f]{1,64}@[^\s@<>\"(),:;\\\[\]\x00-\x1f\x7f]{1,255}")
_LONGEST_PASSWORD = 512
_KINDS = {
    "lower": re.compile(r"[a-z]"),
    "upper": re.compile(r"[A-Z]"),
    "digit": re.compile(r"[0-9]"),
    "symbol": re.compile(r"[^A-Za-z0-9\s]"),
}
_WORDS = {
    "lower": "a lower-case letter",
    "upper": "an upper-case letter",
    "digit": "a digit",
    "symbol": "a symbol",
}
PASSWORD_KINDS = frozenset(_KINDS)
_NOT_IN_URL = re.compile(r"[\s\\\x00-\x1f\x7f]")


def clean_email(given: str) -> str:
    """An address in lower case; raises `AuthError` for what is none."""
    email = given.strip().lower()
    domain = email.rpartition("@")[2]
    if not _EMAIL.fullmatch(email) or len(email) > 255 or ".." in email or domain[0] in ".-" or domain[-1] in ".-":
        raise invalid("Unable to validate email address: invalid format")
    return email


def require_strong(password: str, *, min_length: int, needs: Sequence[str]) -> None:
    """Raise `AuthError` with the reasons why a password is too weak."""
    if len(password) > _LONGEST_PASSWORD:
        raise invalid(f"Password cannot be longer than {_LONGEST_PASSWORD} characters")
    missing = [kind for kind in needs if not _KINDS[kind].search(password)]
    reasons = ["length"] * (len(password) < min_length) + ["characters"] * bool(missing)
    if not reasons:
        return
    words = [f"at least {min_length} characters"] * (len(password) < min_length) + [
        _WORDS[kind] for kind in missing
    ]
    raise AuthError(422, "weak_password", f"Password should have {', '.join(words)}.", reasons=reasons)


class Redirects:
    """Which addresses a link may lead to."""

    def __init__(self, site_url: str, patterns: Sequence[str]) -> None:
        self.site_url = site_url
        self._site = _origin(site_url)
        self._patterns = [_compiled(pattern) for pattern in patterns]

    def choose(self, asked: str | None) -> str:
        """The address asked for where it is allowed, else the application's own."""
        return asked if asked and self.is_allowed(asked) else self.site_url

    def is_allowed(self, url: str) -> bool:
        """Whether it is of the application's own origin, or fits a pattern.

        An address with a user, a backslash or control characters never is: browsers and parsers disagree on
        where it leads.
        """
        if _NOT_IN_URL.search(url):
            return False
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            return False
        if not parts.scheme or "@" in parts.netloc or parts.scheme in {"javascript", "data", "vbscript", "file"}:
            return False
        if self._site is not None and _origin(url) == self._site:
            return True
        bare = url.partition("#")[0]
        return any(pattern.fullmatch(bare) for pattern in self._patterns)


def _origin(url: str) -> tuple[str, str, int | None] | None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]


_IN_PLACE = {"**": r".*", "*": r"[^./]*", "?": r"[^./]"}
_IN_HOST = {"**": r"[^/?]*", "*": r"[^./?]*", "?": r"[^./?]"}
"""What would end the host is not in it: `https://evil.test?.app.test/` is at evil.test."""


def _compiled(pattern: str) -> re.Pattern[str]:
    start, mark, rest = pattern.partition("://")
    if not mark or rest == "**":
        return re.compile(_meant(pattern, _IN_PLACE))
    host, slash, place = rest.partition("/")
    return re.compile(_meant(start + mark + host, _IN_HOST) + slash + _meant(place, _IN_PLACE))


def _meant(pattern: str, meaning: Mapping[str, str]) -> str:
    return "".join(meaning.get(word, re.escape(word)) for word in re.split(r"(\*\*|\*|\?)", pattern))
