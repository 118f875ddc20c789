"""What real stores say of their locks, and what is made of it."""

from datetime import timedelta

import pytest

from support.regions import AzureStore, Region, S3Store
from wedsync.backup import LockState
from wedsync.backup.regions.azure import container_lock
from wedsync.backup.regions.lock import judge_lock
from wedsync.backup.regions.s3 import Bucket
from wedsync.config import Home
from wedsync.errors import CredentialsRefused, StoreMissing

WINDOW = timedelta(days=30)


def secret_of(region: Region, name: str) -> str:
    return region.secrets[name]


@pytest.mark.parametrize(
    ("lock_days", "versions", "state", "words"),
    [
        (30, True, LockState.ON, "locked for 30 days (COMPLIANCE)"),
        (7, True, LockState.SHORT, "locked for 7 days"),
        (None, True, LockState.OFF, "stay as older versions"),
        (None, False, LockState.OFF, "deleted for good"),
    ],
    ids=["on", "short", "versions only", "off"],
)
def test_a_bucket_says_how_long_it_is_locked(
    home: Home, s3: S3Store, *, lock_days: int | None, versions: bool, state: LockState, words: str
) -> None:
    made = s3.bucket(lock_days=lock_days, versions=versions)
    repository = made.repository(home)
    lock = Bucket(repository.options, home=home, secret=lambda name: secret_of(made, name)).lock()
    found = judge_lock(repository.kind, lock, window=WINDOW)
    assert found.state is state
    assert words in found.words


def test_a_container_without_a_policy_is_open_to_deletion(home: Home, azure: AzureStore) -> None:
    """Azurite has no immutability to switch on: that it is on is read from values, not from a store."""
    made = azure.container()
    repository = made.repository(home)
    lock = container_lock(repository.options, home=home, secret=lambda name: secret_of(made, name))
    assert judge_lock(repository.kind, lock, window=WINDOW).state is LockState.OFF


def test_a_container_that_is_not_there_or_another_key_is_told(home: Home, azure: AzureStore) -> None:
    made = azure.container()
    options = made.repository(home).options
    with pytest.raises(StoreMissing):
        missing = {**options, "azure-container": "nowhere"}
        container_lock(missing, home=home, secret=lambda name: secret_of(made, name))
    with pytest.raises(CredentialsRefused):
        container_lock(options, home=home, secret=lambda _: "c29tZWJvZHkgZWxzZQ==")
