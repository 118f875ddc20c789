"""An Azure container asked about what pgBackRest never asks: its immutability."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import ContainerClient

from wedsync.backup.regions.lock import StoreLock
from wedsync.config import Home
from wedsync.errors import CredentialsRefused, RepositoryUnreachable, StoreMissing

_WAIT_S = 10
_REQUESTS = "azure.core.pipeline.policies.http_logging_policy"
"""Tells every header of every request, as news."""


def container_lock(options: Mapping[str, str], *, home: Home, secret: Callable[[str], str]) -> StoreLock:
    """Whether blobs of the repository's container are immutable. Blocks: call it from a thread of its own.

    For how long they are is told by the management interface only, not to who reads and writes.
    """
    account, name = options["azure-account"], options["azure-container"]
    host = options.get("storage-host") or f"{account}.{options.get('azure-endpoint', 'blob.core.windows.net')}"
    place = f"https://{host}:{options.get('storage-port', '443')}"
    if options.get("azure-uri-style") == "path":
        place = f"{place}/{account}"
    given = options.get("azure-key", "")
    key = secret(given.removeprefix("@")) if given.startswith("@") else given
    ca_file = options.get("storage-ca-file")
    verify: str | bool = str(home.resolve(ca_file)) if ca_file else True
    logging.getLogger(_REQUESTS).setLevel(logging.WARNING)
    transport = RequestsTransport(connection_verify=verify, connection_timeout=_WAIT_S, read_timeout=_WAIT_S)
    try:
        with ContainerClient(place, name, credential=key, transport=transport, retry_total=1) as container:
            found: Any = container.get_container_properties()
    except ResourceNotFoundError as error:
        raise StoreMissing(f"there is no container {name}", detail=_short(error)) from error
    except HttpResponseError as error:
        if error.status_code in (401, 403):
            raise CredentialsRefused(f"container {name} refuses our key", detail=_short(error)) from error
        raise RepositoryUnreachable(f"container {name} cannot be asked", detail=_short(error)) from error
    except AzureError as error:
        raise RepositoryUnreachable(f"container {name} cannot be asked", detail=_short(error)) from error
    if found.immutable_storage_with_versioning_enabled:
        return StoreLock(versions=True, mode="versions")
    return StoreLock(versions=False, mode="container" if found.has_immutability_policy else None)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
