"""Where no new cluster may be made."""

from wedsync.app.setup import what_may_hold_backups
from wedsync.backup import RepositoryStatus
from wedsync.errors import RepositoryUnreachable, WrongKey

READABLE = RepositoryStatus(repo=1, ok=True)
EMPTY = RepositoryStatus(repo=2, ok=False, message="it is empty", empty=True)
AWAY = RepositoryStatus(repo=2, ok=False, message="connection refused")
LOCKED = RepositoryStatus(repo=1, ok=False, message="another key", wrong_key=True)


def test_a_new_cluster_may_be_made_beside_empty_repositories() -> None:
    assert what_may_hold_backups([READABLE, EMPTY]) is None


def test_a_repository_that_cannot_be_read_may_hold_the_backups_of_a_lost_cluster() -> None:
    why = what_may_hold_backups([EMPTY, AWAY])
    assert isinstance(why, RepositoryUnreachable)
    assert why.detail == "connection refused"


def test_a_wrong_key_is_told_apart() -> None:
    why = what_may_hold_backups([LOCKED, EMPTY])
    assert isinstance(why, WrongKey)
    assert "secrets/repo1_key" in str(why)
