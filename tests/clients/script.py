"""What the scripts of the Python package share: clients, and steps that tell how they ended."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from uuid import uuid4

from supabase import Client, ClientOptions, create_client

PASSWORD = "a wedding in June"
URL, ANON, SERVICE = os.environ["API_URL"], os.environ["ANON_KEY"], os.environ["SERVICE_KEY"]


def fresh(key: str = ANON) -> Client:
    """A client that nobody is signed in to."""
    return create_client(URL, key, ClientOptions(auto_refresh_token=False, persist_session=False))


def new_address() -> str:
    return f"{uuid4().hex[:13]}@example.com"


def run(steps: Sequence[Callable[[], None]]) -> None:
    """One line of JSON a step; the first that fails ends it."""
    for step in steps:
        try:
            step()
        except Exception:
            print(json.dumps({"step": step.__name__, "ok": False, "error": traceback.format_exc()}))  # noqa: T201
            sys.exit(1)
        print(json.dumps({"step": step.__name__, "ok": True}), flush=True)  # noqa: T201
