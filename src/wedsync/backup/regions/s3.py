"""An S3 bucket asked about what pgBackRest never asks: its lock, and the versions of its objects."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, cast

import urllib3
from minio import Minio
from minio.commonconfig import CopySource
from minio.error import MinioException, S3Error

from wedsync.backup.regions.lock import StoreLock
from wedsync.config import Home
from wedsync.errors import CredentialsRefused, RepositoryUnreachable, StoreMissing

_WAIT_S = 10.0
_DAYS_A_YEAR = 365
_REFUSED = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken")
_WANTS_CHECKSUM = ("MissingUploadObjectWithObjectLockHeaders", "InvalidRequest")
_NO_LOCK = ("ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of an object; deleting an object adds one, too."""

    key: str
    id: str
    at: datetime
    deleted: bool
    size_bytes: int


class Bucket:
    """The bucket of a repository. Every method blocks: call it from a thread of its own."""

    def __init__(self, options: Mapping[str, str], *, home: Home, secret: Callable[[str], str]) -> None:
        """`options` are the repository's, as pgBackRest knows them."""

        def value(name: str) -> str | None:
            given = options.get(name)
            return secret(given.removeprefix("@")) if given is not None and given.startswith("@") else given

        ca_file = options.get("storage-ca-file")
        wait = urllib3.Timeout(connect=_WAIT_S, read=_WAIT_S)
        pool = urllib3.PoolManager(
            timeout=wait,
            retries=urllib3.Retry(total=1, backoff_factor=0.2),
            cert_reqs="CERT_REQUIRED",
            ca_certs=str(home.resolve(ca_file)) if ca_file else None,
        )
        host = options.get("storage-host") or options["s3-endpoint"]
        port = options.get("storage-port")
        self.name = options["s3-bucket"]
        self._client = Minio(
            f"{host}:{port}" if port else host,
            access_key=value("s3-key"),
            secret_key=value("s3-key-secret"),
            session_token=value("s3-token"),
            region=options["s3-region"],
            http_client=pool,
        )

    def lock(self) -> StoreLock:
        """Whether versions are kept and locked by default."""
        with self._told("lock"):
            versions = self._client.get_bucket_versioning(self.name).status == "Enabled"
            try:
                found = self._client.get_object_lock_config(self.name)
            except S3Error as error:
                if error.code in _NO_LOCK:
                    return StoreLock(versions=versions)
                raise
            length = found.duration
            is_years = str(found.duration_unit).upper().startswith("YEAR")
            days = None if length is None else length * (_DAYS_A_YEAR if is_years else 1)
            return StoreLock(versions=versions, mode=found.mode, days=days)

    def versions(self, prefix: str) -> Iterator[Version]:
        """All versions of all objects below a prefix; of each object, the newest first."""
        with self._told("list the versions of"):
            for item in self._client.list_objects(self.name, prefix, recursive=True, include_version=True):
                yield Version(
                    key=item.object_name or "",
                    id=item.version_id or "",
                    at=item.last_modified or datetime.fromtimestamp(0, UTC),
                    deleted=item.is_delete_marker,
                    size_bytes=item.size or 0,
                )

    def remove(self, version: Version) -> None:
        """Remove one version: of a delete marker, that brings the object back."""
        with self._told("take delete markers away in"):
            self._client.remove_object(self.name, version.key, version_id=version.id)

    def bring_up(self, version: Version) -> None:
        """Copy an older version over what is there; that stays as a version itself."""
        with self._told("copy older versions in"):
            source = CopySource(self.name, version.key, version_id=version.id)
            try:
                self._client.copy_object(self.name, version.key, source)
            except S3Error as error:
                if error.code not in _WANTS_CHECKSUM:
                    raise
                self._write_again(version)

    def _write_again(self, version: Version) -> None:
        """A locked bucket may want a checksum of what is written, and a copy inside the store has none."""
        found = self._client.get_object(self.name, version.key, version_id=version.id)
        try:
            self._client.put_object(self.name, version.key, cast("BinaryIO", found), version.size_bytes)
        finally:
            found.close()
            found.release_conn()

    @contextmanager
    def _told(self, what: str) -> Generator[None]:
        """Errors of the library in our words."""
        try:
            yield
        except S3Error as error:
            seen = f"{error.code}: {error.message}"
            if error.code == "NoSuchBucket":
                raise StoreMissing(f"there is no bucket {self.name}", detail=seen) from error
            if error.code in _REFUSED:
                raise CredentialsRefused(
                    f"our credentials may not {what} bucket {self.name}",
                    detail=seen,
                    hint="they need s3:GetBucketVersioning and s3:GetBucketObjectLockConfiguration; to undelete,"
                    " s3:ListBucketVersions, s3:GetObjectVersion and s3:DeleteObjectVersion",
                ) from error
            raise RepositoryUnreachable(f"bucket {self.name} refused to {what} itself", detail=seen) from error
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise RepositoryUnreachable(
                f"bucket {self.name} cannot be asked", detail=" ".join(str(error).split())[:300]
            ) from error
