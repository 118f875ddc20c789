"""One run: so many connections do one job for some seconds; how many, how long, and whose processor time."""

import json
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from contestants import Server, WrongAnswer, pgbench_script, write_lines
from ground import CALLERS, Ground, claims
from jobs import Job

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run gave."""

    job: Job
    connections: int
    rate: float
    """Answers a second."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    failed: int
    server_cpu_ms: float
    """Of the server under test, a request; of the floor nothing: pgbench talks to the database itself."""
    database_cpu_ms: float
    generator_cpu_ms: float

    @property
    def cpu_ms(self) -> float:
        """A request, of server and database."""
        return self.server_cpu_ms + self.database_cpu_ms


@dataclass(frozen=True, slots=True)
class _Load:
    requests: int
    took_s: float
    failed: int
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


def measure_server(ground: Ground, server: Server, job: Job, *, connections: int, seconds: float) -> Run:
    """Let wrk ask a running server."""
    wrk = shutil.which("wrk")
    assert wrk is not None
    with tempfile.NamedTemporaryFile(dir=ground.directory) as file:
        write_lines(file, server.dialect, job)
        file.flush()
        address = f"http://127.0.0.1:{server.port}"

        def load(for_s: float) -> _Load:
            words = [
                *(wrk, "-t1", f"-c{connections}", f"-d{max(1, round(for_s))}s", "-s"),
                *(HERE / "replay.lua", address, "--", file.name),
            ]
            done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=True)
            said = json.loads(done.stdout.splitlines()[-1])
            return _Load(
                requests=said["requests"],
                took_s=said["took_us"] / 1e6,
                failed=said["failed"],
                p50_ms=said["p50_us"] / 1000,
                p95_ms=said["p95_us"] / 1000,
                p99_ms=said["p99_us"] / 1000,
            )

        load(1.0)  # warms the server's code and the plans of its connections
        ground.settle()
        return _measured(ground, job, load, connections=connections, server_cpu_s=server.cpu_s, seconds=seconds)


def measure_floor(ground: Ground, job: Job, *, connections: int, seconds: float) -> Run:
    """Let pgbench do the same in PostgreSQL, one round trip a transaction, statements prepared."""
    with tempfile.TemporaryDirectory(dir=ground.directory) as directory:
        words: list[str | Path] = ["-n", "-M", "prepared", "-c", str(connections)]
        for caller in range(CALLERS):
            script = Path(directory) / f"{caller}.sql"
            script.write_text(pgbench_script(job, caller=caller, claims=claims(caller)))
            words += ["-f", script]

        def load(for_s: float) -> _Load:
            said = ground.pgbench(*words, "-T", str(max(1, round(for_s)))).stdout
            rate = float(said.partition("tps = ")[2].split()[0])
            done = int(said.partition("actually processed: ")[2].split()[0])
            failed = int(said.partition("failed transactions: ")[2].split()[0])
            return _Load(requests=done, took_s=done / rate, failed=failed)

        return _measured(ground, job, load, connections=connections, server_cpu_s=lambda: 0.0, seconds=seconds)


def _measured(
    ground: Ground,
    job: Job,
    load: Callable[[float], _Load],
    *,
    connections: int,
    server_cpu_s: Callable[[], float],
    seconds: float,
) -> Run:
    before = server_cpu_s(), ground.cpu_s(), _generator_cpu_s()
    done = load(seconds)
    after = server_cpu_s(), ground.cpu_s(), _generator_cpu_s()
    added = ground.settle()
    if not done.requests:
        raise WrongAnswer(f"{job}: no answer within {seconds:g} s")
    if added < done.requests - done.failed if job is Job.INSERT else added:
        raise WrongAnswer(f"{job}: {done.requests} answers and {added} new rows")
    server, database, generator = (
        1000 * (late - early) / done.requests for early, late in zip(before, after, strict=True)
    )
    return Run(
        job=job,
        connections=connections,
        rate=done.requests / done.took_s,
        p50_ms=done.p50_ms,
        p95_ms=done.p95_ms,
        p99_ms=done.p99_ms,
        failed=done.failed,
        server_cpu_ms=server,
        database_cpu_ms=database,
        generator_cpu_ms=generator,
    )


def _generator_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure_all(
    ground: Ground,
    server: Server | None,
    *,
    jobs: list[Job],
    connections: list[int],
    seconds: float,
    say: Callable[[Run], None],
) -> list[Run]:
    """All jobs with all numbers of connections; without a server: the floor."""
    runs: list[Run] = []
    ground.settle()  # what the server before this one still had under way when its load ended
    with server.running() if server is not None else nullcontext():
        ground.settle()
        for job in jobs:
            for number in connections:
                run = (
                    measure_floor(ground, job, connections=number, seconds=seconds)
                    if server is None
                    else measure_server(ground, server, job, connections=number, seconds=seconds)
                )
                runs.append(run)
                say(run)
    return runs
