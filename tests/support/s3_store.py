"""An S3 for tests, a program of its own: moto behind TLS, which wants one access key and can be told to fail.

    python -m support.s3_store PORT CERTIFICATE KEY ACCESS_KEY

`PUT /_faults` takes a JSON list of `Fault`s in place of those before.
"""

import json
import re
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Request, Response

_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"


@dataclass(kw_only=True)
class Fault:
    """Answer `times` requests that match with an error, after letting `skip` of them through."""

    status: int
    code: str
    message: str = "told to fail"
    method: str = ""
    path: str = ""
    """A regular expression that is searched for."""
    skip: int = 0
    times: int = 1_000_000


@dataclass(kw_only=True)
class Door:
    """Lets requests through to moto, or answers them with an error."""

    access_key: str
    inside: Any
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        if request.path == "/_faults":
            with self.lock:
                self.faults = [Fault(**item) for item in json.loads(request.get_data())]
            return Response(status=204)(environ, start_response)
        refused = self._refused(request)
        if refused is not None:
            request.get_data()
            return refused(environ, start_response)
        return self.inside(environ, start_response)

    def _refused(self, request: Request) -> Response | None:
        if f"Credential={self.access_key}/" not in request.headers.get("Authorization", ""):
            return _error(
                403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
            )
        with self.lock:
            for fault in self.faults:
                if fault.method not in ("", request.method) or not re.search(fault.path, request.full_path):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                elif fault.times > 0:
                    fault.times -= 1
                    return _error(fault.status, fault.code, fault.message)
        return None


def _error(status: int, code: str, message: str) -> Response:
    return Response(_ERROR.format(code=code, message=message), status=status, content_type="application/xml")


def main(port: str, certificate: str, key: str, access_key: str) -> None:
    """Serve until killed."""
    door = Door(access_key=access_key, inside=DomainDispatcherApplication(create_backend_app))
    uvicorn.run(
        door,  # type: ignore[arg-type]
        host="127.0.0.1",
        port=int(port),
        interface="wsgi",
        ssl_certfile=certificate,
        ssl_keyfile=key,
        log_level="error",
        timeout_keep_alive=60,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
