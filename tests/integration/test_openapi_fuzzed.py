"""What schemathesis makes of our OpenAPI documents, sent to a running home: no answer is a 500."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from time import monotonic, time

import jwt
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode

from support.commands import CommandLine, running_home
from support.workers import held
from wedsync.config import Home

WITHIN_S = 45
NOT_ASKED = {
    *("/backups", "/backups/verify", "/backups/expire", "/database/migrate", "/drills"),
    *("/recovery", "/recovery/undo", "/recovery/previews", "/recovery/rows"),
}
"""What a POST or PUT there would start, or take away from under the others."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, protected_template: Home) -> Iterator[CommandLine]:
    """A home as bin/up makes it, without a demo season."""
    place = tmp_path_factory.mktemp("fuzzed") / "place"
    with held(running_home(place, template=protected_template)) as commands:
        yield commands


class Fuzzer:
    """Asks a home for what schemathesis makes of one of its documents."""

    def __init__(self, commands: CommandLine, document: str) -> None:
        self._secret = (commands.home.secrets / "jwt_secret").read_text().strip()
        self._people = count()
        self.statuses: Counter[int] = Counter()
        self.broken: list[str] = []
        address = f"http://127.0.0.1:{commands.port}"
        # The token is ours to send: in whatever schemathesis makes of it nobody would be let in.
        config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
        schema = schemathesis.openapi.from_url(address + document, config=config, headers=self._administrator())
        operations = [found.ok() for found in schema.get_all_operations()]
        self._operations = [
            operation
            for operation in reversed(operations)  # functions before tables
            if operation.method == "get" or operation.path.removeprefix("/api") not in NOT_ASKED
        ]

    def _administrator(self) -> dict[str, str]:
        """Another one each time: how much one may ask in a minute is tested elsewhere."""
        claims = {
            "role": "service_role",
            "sub": f"00000000-0000-4000-8000-{next(self._people):012d}",
            "exp": time() + 3600,
        }
        return {"Authorization": "Bearer " + jwt.encode(claims, self._secret, algorithm="HS256")}

    def ask_all(self, least: int) -> int:
        """Ask each operation for what its description allows and for what it does not; how many were asked.

        Those that time allows, and on a machine that is slow `least` of them all the same.
        """
        until = monotonic() + WITHIN_S
        asked = 0
        for operation in self._operations:
            if asked >= least and monotonic() > until:
                break
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                self._ask(operation, mode)
            asked += 1
        return asked

    def _ask(self, operation: APIOperation, mode: GenerationMode) -> None:
        @settings(
            max_examples=2,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Case) -> None:
            answer = case.call(headers=self._administrator(), timeout=40)
            self.statuses[answer.status_code] += 1
            if answer.status_code >= 500:
                self.broken.append(f"{answer.status_code} {answer.text[:300]}\n{case.as_curl_command()[:600]}")

        with suppress(Unsatisfiable):  # where nothing can be asked wrongly
            ask()


@pytest.mark.parametrize(("document", "least"), [("/rest/v1/", 60), ("/api/openapi.json", 15)])
def test_no_question_breaks_the_gateway(running: CommandLine, document: str, least: int) -> None:
    fuzzer = Fuzzer(running, document)
    assert fuzzer.ask_all(least) >= least
    assert not fuzzer.broken, "\n".join(fuzzer.broken)
    assert fuzzer.statuses[200] > 0, fuzzer.statuses
    assert fuzzer.statuses[400] > 0, fuzzer.statuses
    assert fuzzer.statuses[401] == 0, fuzzer.statuses
