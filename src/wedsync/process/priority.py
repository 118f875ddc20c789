"""How much of processor and disk a program may take when others want them too."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Priority:
    """A program's priority, which all that it starts inherits."""

    nice: int = 0
    """0 to 19: the more, the less of the processor it gets beside others (nice(1))."""
    idle_disk: bool = False
    """Whether it gets the disk only when nobody else wants it (`ionice -c 3`)."""

    def words(self) -> list[str]:
        """What stands before the program; `ionice -t` goes on where the kernel does not know classes."""
        lower = ["nice", "-n", str(self.nice)] if self.nice else []
        return [*lower, *(["ionice", "-t", "-c", "3"] if self.idle_disk else [])]
