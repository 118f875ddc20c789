"""What a store refused, told in our words."""

from datetime import UTC, datetime, timedelta

import pytest

from wedsync.backup.explain import explain
from wedsync.backup.report import read_error, read_info
from wedsync.backup.store_errors import explain_store
from wedsync.errors import (
    BackupFailed,
    CertificateRefused,
    ClockWrong,
    CredentialsRefused,
    RepositoryUnreachable,
    StoreMissing,
)
from wedsync.process import Finished

HEAD = """\
ERROR: [039]: HTTP request failed with {status}:
       *** Path/Query ***:
       HEAD /bucket/wedsync
       *** Request Headers ***:
       authorization: <redacted>
       x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
       *** Response Headers ***:
       content-length: 167
       date: Sat, 21 Nov 2026 16:39:35 GMT
       server: AmazonS3
"""
CODE = "       *** Response Content ***:\n       <Error><Code>{code}</Code><Message>no</Message></Error>\n"
NOW = datetime(2026, 11, 21, 16, 39, 36, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (HEAD.format(status="403 (Forbidden)"), CredentialsRefused),
        (HEAD.format(status="403 (Forbidden)") + CODE.format(code="SignatureDoesNotMatch"), CredentialsRefused),
        (HEAD.format(status="403 (Forbidden)") + CODE.format(code="RequestTimeTooSkewed"), ClockWrong),
        (HEAD.format(status="404 (Not Found)") + CODE.format(code="NoSuchBucket"), StoreMissing),
        (HEAD.format(status="404 (No.)") + "       x-ms-error-code: ContainerNotFound\n", StoreMissing),
        ("ERROR: [101]: [503] Service Unavailable", RepositoryUnreachable),
        ("ERROR: [095]: unable to verify certificate presented by 'far:443': [10] expired", CertificateRefused),
        ("ERROR: [095]: unable to find hostname 'far' in certificate common name or subject", CertificateRefused),
    ],
)
def test_a_refusal_is_told_in_our_words(text: str, kind: type[RepositoryUnreachable]) -> None:
    said = read_error(text)
    assert said is not None
    error = explain_store(said, "repo2", NOW)
    assert type(error) is kind
    assert error is not None
    assert "repo2" in error.message
    assert error.hint
    assert "redacted" not in (error.detail or "")


def test_a_refusal_without_a_code_is_the_clock_if_that_is_wrong() -> None:
    """Answers to HEAD have no content; the store's clock is in their headers."""
    said = read_error(HEAD.format(status="403 (Forbidden)"))
    assert said is not None
    error = explain_store(said, "repo2", NOW + timedelta(minutes=20))
    assert isinstance(error, ClockWrong)
    assert "1201 s" in (error.detail or "")


@pytest.mark.parametrize(
    "text",
    [
        "ERROR: [055]: unable to open missing file '/r/backup.info' for read",
        "ERROR: [095]: unable to load info file '/r/archive.info' or '/r/archive.info.copy'",
        HEAD.format(status="404 (Not Found)"),
    ],
)
def test_other_errors_are_left_to_other_rules(text: str) -> None:
    said = read_error(text)
    assert said is not None
    assert explain_store(said, "repo2", NOW) is None


def test_all_errors_of_stores_count_as_out_of_reach() -> None:
    finished = Finished(
        program="pgbackrest", exit_status=39, stdout="", stderr=HEAD.format(status="403 (Forbidden)"), took_s=0.1
    )
    assert isinstance(explain(finished, "info", repo=2, otherwise=BackupFailed), RepositoryUnreachable)


def test_a_refused_certificate_is_not_taken_for_a_wrong_key() -> None:
    told = (
        '[{"name":"wedsync","repo":[{"key":2,"status":{"code":99,"message":"[CryptoError] unable to verify'
        ' certificate presented by \'far:443\': [10] certificate has expired"}}],"backup":[],"archive":[],"db":[],'
        '"status":{"code":99,"message":"other"}}]'
    )
    status = read_info(told, (2,)).repositories[0]
    assert not status.ok
    assert not status.wrong_key
    assert "certificate has expired" in status.message
