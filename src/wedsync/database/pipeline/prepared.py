"""Which statements a connection knows by name."""

from collections import OrderedDict


class Prepared:
    """A statement with a name on one connection."""

    __slots__ = ("columns", "name")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.columns: tuple[str, ...] | None = None
        """The columns it gives, once seen: the server refuses to change them under a name."""


class PreparedNames:
    """The prepared statements of one connection, least recently used first.

    A name belongs to one SQL and one role: PostgreSQL plans a statement for the role that runs it, and a name
    that two roles shared would be planned again at each change. It counts only once the server has confirmed
    its Parse: what is sent before that goes without a name.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: OrderedDict[tuple[str, bytes], Prepared] = OrderedDict()
        self._asked: dict[tuple[str, bytes], Prepared] = {}
        self._to_close: list[bytes] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._known)

    def find(self, role: str, text: bytes) -> Prepared | None:
        """The statement, if its name is confirmed."""
        key = (role, text)
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
        return known

    def ask(self, role: str, text: bytes) -> Prepared | None:
        """A statement to send a Parse for; none while one is under way, or where names are not wanted."""
        key = (role, text)
        if self._limit == 0 or key in self._asked:
            return None
        self._count += 1
        self._asked[key] = asked = Prepared(b"w%d" % self._count)
        return asked

    def settle(self, role: str, text: bytes, *, is_parsed: bool) -> None:
        """The server has answered a Parse: the name is good from now on, or was never made."""
        asked = self._asked.pop((role, text))
        if is_parsed:
            self._known[role, text] = asked

    def to_close(self) -> bytes | None:
        """The name of a statement to close; none is left when there are no more than the limit."""
        if len(self._known) > self._limit:
            return self._known.popitem(last=False)[1].name
        return self._to_close.pop() if self._to_close else None

    def forget_all(self) -> None:
        """None is known any more: the session was reset, or a plan no longer fits its table."""
        self._to_close += [known.name for known in self._known.values()]
        self._known.clear()
