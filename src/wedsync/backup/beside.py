"""Work of pgBackRest's beside the real cluster."""

from dataclasses import dataclass
from pathlib import Path

from wedsync.process import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Where and how a restore works that is not the cluster's own: it shares no lock, spool or log with that."""

    root: Path
    """Directory for its lock, spool and log."""
    processes: int
    """Parallel processes at the most."""
    priority: Priority

    def options(self) -> list[str]:
        """Options of `pgbackrest restore`."""
        return [
            f"--lock-path={self.root / 'lock'}",
            f"--log-path={self.root / 'log'}",
            f"--process-max={self.processes}",
        ]

    def fetch_options(self, *, asynchronous: bool) -> list[str]:
        """Options of `pgbackrest archive-get`."""
        return [*self.options(), *([f"--spool-path={self.root / 'spool'}"] if asynchronous else [])]

    def make_directories(self) -> None:
        """Make what the options name."""
        for name in ("lock", "log", "spool"):
            (self.root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
