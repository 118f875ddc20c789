"""A certificate authority of the home's own, and the server certificate that clients verify fully."""

import ipaddress
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wedsync.cluster.secrets import write_private
from wedsync.config import Home
from wedsync.errors import SecretProblem

AUTHORITY_VALID = timedelta(days=3650)
SERVER_VALID = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
_CLOCK_SKEW = timedelta(hours=1)
_NO_NAMES = {"", "*", "0.0.0.0", "::"}  # noqa: S104 - every address is no name


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """The files of TLS, how long they last, and whether the server's were made just now."""

    ca: Path
    certificate: Path
    key: Path
    expires_at: datetime
    renewed: bool


async def ensure_certificates(
    home: Home, hosts: Sequence[str] = (), *, now: datetime | None = None
) -> Certificates:
    """Make the authority and the server's certificate, or renew what ends within 30 days.

    `hosts` are names and addresses of the server besides localhost, its two addresses and this machine's
    name. A server that runs takes a renewed certificate at its next reload. Raises `SecretProblem` if a
    private key is unreadable.
    """
    moment = now or datetime.now(UTC)
    names = sorted({"localhost", "127.0.0.1", "::1", socket.gethostname(), *hosts} - _NO_NAMES)
    ca_key_file, server_key_file = home.tls / "ca.key", home.tls / "server.key"
    certificate_file = home.tls / "server.crt"

    authority = _load(home.ca_certificate, ca_key_file)
    if authority is None or authority[0].not_valid_after_utc - moment < RENEW_BEFORE:
        authority = _make_authority(moment)
        _write(home.ca_certificate, ca_key_file, authority)
    server = _load(certificate_file, server_key_file)
    renewed = server is None or not _serves(server[0], authority[0], names, moment)
    if server is None or renewed:
        server = _make_server(authority, names, moment)
        _write(certificate_file, server_key_file, server)
    return Certificates(
        ca=home.ca_certificate,
        certificate=certificate_file,
        key=server_key_file,
        expires_at=server[0].not_valid_after_utc,
        renewed=renewed,
    )


_Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _serves(server: x509.Certificate, ca: x509.Certificate, names: Sequence[str], now: datetime) -> bool:
    """Whether the certificate is of this authority, lasts long enough and has all the names."""
    try:
        server.verify_directly_issued_by(ca)
        found = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    has = {*found.get_values_for_type(x509.DNSName)}
    has |= {str(address) for address in found.get_values_for_type(x509.IPAddress)}
    return server.not_valid_after_utc - now >= RENEW_BEFORE and has >= {*names}


def _make_authority(now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WedSync database authority")])
    certificate = (
        _builder(name, name, key.public_key(), now, AUTHORITY_VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _make_server(authority: _Pair, names: Sequence[str], now: datetime) -> _Pair:
    ca, ca_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    lasts = min(SERVER_VALID, ca.not_valid_after_utc - now)
    certificate = (
        _builder(subject, ca.subject, key.public_key(), now, lasts)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return certificate, key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    lasts: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load(certificate_file: Path, key_file: Path) -> _Pair | None:
    """The pair on disk; `None` if one of it is missing or they do not belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise SecretProblem(
            f"cannot read {certificate_file.name} or its key",
            detail=f"{certificate_file.parent}: {error}",
            hint="move the two files away: they are made again at the next start",
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    if key_file.stat().st_mode & 0o077 and key_file.stat().st_uid == os.getuid():
        key_file.chmod(0o600)  # PostgreSQL refuses a key that others may read
    return certificate, key


def _write(certificate_file: Path, key_file: Path, pair: _Pair) -> None:
    """Key first: a crash in between leaves a pair that does not match, which is made again."""
    certificate, key = pair
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(key_file, pem, replace=True)
    write_private(certificate_file, certificate.public_bytes(serialization.Encoding.PEM), replace=True)
    certificate_file.chmod(0o644)
