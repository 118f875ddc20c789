"""Find the first of many things that lies behind a place, where looking at one is dear and a guess is at hand."""


class Search:
    """Goes away from the guess in growing steps until one is known on either side, then by halves.

    A guess that is right, or one off, takes two looks; a wrong one about twice as many as halves alone.
    """

    def __init__(self, count: int, *, guess: int) -> None:
        """`guess` is where the first of `count` that lies behind may be."""
        self.low = 0
        """None below it lies behind."""
        self.high = count
        """All from it on lie behind."""
        self._guess = guess
        self._step = 1
        self._knows_before = False
        self._knows_behind = False

    @property
    def is_over(self) -> bool:
        """Whether it is found: it is `high`."""
        return self.low >= self.high

    def next(self) -> int:
        """Which one to look at."""
        if self._knows_before and self._knows_behind:
            return (self.low + self.high) // 2
        return min(max(self._guess, self.low), self.high - 1)

    def lies_behind(self, index: int) -> None:
        """The one at `index` does, and with it all that follow."""
        self.high = index
        self._knows_behind = True
        self._guess, self._step = index - self._step, self._step * 2

    def lies_before(self, index: int) -> None:
        """The one at `index` does not, and none in front of it."""
        self.low = index + 1
        self._knows_before = True
        self._guess, self._step = index + self._step, self._step * 2
