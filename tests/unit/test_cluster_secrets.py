"""Secrets and certificates: made once, readable by their owner only, renewed in time."""

import multiprocessing
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from wedsync.cluster import Secrets, write_private
from wedsync.cluster.certificates import ensure_certificates
from wedsync.config import Home
from wedsync.errors import SecretProblem


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_made_once_with_mode_0600(home: Home) -> None:
    secrets = Secrets(home)
    value = secrets.get_or_create("owner")
    assert secrets.get_or_create("owner", make=lambda: "another") == value == secrets.read("owner")
    assert mode_of(secrets.path("owner")) == 0o600
    assert mode_of(home.secrets) == 0o700
    assert [path.name for path in home.secrets.iterdir()] == ["owner"]


def _make(home: Home, results: "multiprocessing.Queue[str]") -> None:
    results.put(Secrets(home).get_or_create("key"))


def test_processes_that_ask_at_once_get_the_same_secret(home: Home) -> None:
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=_make, args=(home, results)) for _ in range(8)]
    for process in processes:
        process.start()
    values = {results.get(timeout=30) for _ in processes}
    for process in processes:
        process.join()
    assert values == {Secrets(home).read("key")}


def test_a_secret_that_others_may_read_is_refused(home: Home) -> None:
    secrets = Secrets(home)
    secrets.get_or_create("owner")
    secrets.path("owner").chmod(0o640)
    with pytest.raises(SecretProblem, match="open to other users"):
        secrets.read("owner")


def test_a_missing_secret_is_named(home: Home) -> None:
    with pytest.raises(SecretProblem, match="no secret 'owner'"):
        Secrets(home).read("owner")


def test_an_empty_file_left_by_a_full_disk_is_made_again(home: Home) -> None:
    home.secrets.mkdir(mode=0o700)
    Secrets(home).path("owner").touch(mode=0o600)
    assert len(Secrets(home).get_or_create("owner")) > 30


def test_a_private_file_is_replaced_as_a_whole(home: Home) -> None:
    path = home.root / "file"
    write_private(path, b"first")
    write_private(path, b"second")
    assert path.read_bytes() == b"first"
    write_private(path, b"third", replace=True)
    assert path.read_bytes() == b"third"
    assert mode_of(path) == 0o600


NOW = datetime(2026, 6, 14, tzinfo=UTC)


def certificate(home: Home) -> x509.Certificate:
    return x509.load_pem_x509_certificate((home.tls / "server.crt").read_bytes())


async def test_the_servers_certificate_has_its_names_and_its_authority(home: Home) -> None:
    made = await ensure_certificates(home, ["db.example", "192.0.2.7", "*"], now=NOW)
    found = certificate(home).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "db.example"} <= {*found.get_values_for_type(x509.DNSName)}
    addresses = {str(item) for item in found.get_values_for_type(x509.IPAddress)}
    assert addresses == {"127.0.0.1", "::1", "192.0.2.7"}
    assert made.renewed
    assert made.expires_at == NOW + timedelta(days=365)
    certificate(home).verify_directly_issued_by(x509.load_pem_x509_certificate(made.ca.read_bytes()))
    assert [mode_of(home.tls / name) for name in ("ca.key", "server.key")] == [0o600, 0o600]
    assert [mode_of(home.tls / name) for name in ("ca.crt", "server.crt")] == [0o644, 0o644]


async def test_a_certificate_is_kept_until_30_days_before_its_end(home: Home) -> None:
    await ensure_certificates(home, now=NOW)
    authority, first = home.ca_certificate.read_bytes(), certificate(home)
    assert not (await ensure_certificates(home, now=NOW + timedelta(days=334))).renewed
    assert certificate(home) == first
    assert (await ensure_certificates(home, now=NOW + timedelta(days=336))).renewed
    assert certificate(home) != first
    assert home.ca_certificate.read_bytes() == authority


async def test_a_new_name_makes_a_new_certificate(home: Home) -> None:
    await ensure_certificates(home, now=NOW)
    assert (await ensure_certificates(home, ["db.example"], now=NOW)).renewed
    assert not (await ensure_certificates(home, ["db.example"], now=NOW)).renewed


async def test_an_authority_at_its_end_is_replaced_with_everything_it_signed(home: Home) -> None:
    first = await ensure_certificates(home, now=NOW)
    before = first.ca.read_bytes()
    later = await ensure_certificates(home, now=NOW + timedelta(days=3640))
    assert later.ca.read_bytes() != before
    certificate(home).verify_directly_issued_by(x509.load_pem_x509_certificate(later.ca.read_bytes()))


async def test_a_key_that_does_not_belong_to_its_certificate_is_replaced(home: Home) -> None:
    await ensure_certificates(home, now=NOW)
    (home.tls / "server.key").write_bytes((home.tls / "ca.key").read_bytes())
    assert (await ensure_certificates(home, now=NOW)).renewed


async def test_a_damaged_certificate_says_what_to_do(home: Home) -> None:
    await ensure_certificates(home, now=NOW)
    (home.tls / "server.crt").write_text("-----BEGIN CERTIFICATE-----\nx\n")
    with pytest.raises(SecretProblem) as caught:
        await ensure_certificates(home, now=NOW)
    assert "move the two files away" in (caught.value.hint or "")
