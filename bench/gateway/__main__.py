"""Requests a second and processor time a request: the product beside Node's servers and beside PostgreSQL itself.

    python bench/gateway --work DIR [--rounds 3] [--seconds 5] [--connections 1,16,64] [--jobs list,one,insert]
                         [--only NAME] [--port 28020] [--json]

All answer the same requests of the same callers over the same rows of a throw-away server in DIR. DIR is new or
empty, or that of an earlier run: what was installed there is used again. The peers come from the npm registry, by
package-lock.json; the load from `wrk` (a package of Debian and Ubuntu). As any user but root. What is measured
and how fair it is: bench/README.md.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from contestants import FLOOR, Server, Unavailable, all_servers
from ground import Ground
from jobs import Job
from measure import Run, measure_all
from report import conditions, everything, rows, table


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The gateway beside Node's servers and PostgreSQL itself.")
    parser.add_argument("--work", type=Path, required=True, help="a directory; in memory, if disks are slow")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each run takes")
    parser.add_argument("--connections", default="1,16,64")
    parser.add_argument("--jobs", default=",".join(Job))
    parser.add_argument(
        "--only", action="append", help="only servers whose name has this in it; the floor is 'pgbench'"
    )
    parser.add_argument(
        "--port", type=int, default=28020, help="of the database; the servers take those that follow"
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if os.geteuid() == 0:
        sys.exit("PostgreSQL does not run as root: run this as an ordinary user")
    if shutil.which("wrk") is None:
        sys.exit("there is no wrk: install it (apt-get install wrk)")
    work: Path = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True, mode=0o700)
    facts = conditions() | {"rounds": options.rounds, "seconds": options.seconds}
    ground = Ground(work / "server", port=options.port)
    servers = all_servers(ground, work, port=options.port + 1, say=say)
    wanted: list[str] | None = options.only
    chosen: list[Server | None] = [
        each for each in (None, *servers) if wanted is None or any(word in name_of(each) for word in wanted)
    ]
    if not chosen:
        sys.exit("none of that name; there are " + ", ".join(map(name_of, (None, *servers))))
    ground.start()
    try:
        rounds = compare(
            ground,
            chosen,
            rounds=options.rounds,
            jobs=[Job(word) for word in options.jobs.split(",")],
            connections=[int(word) for word in options.connections.split(",")],
            seconds=options.seconds,
        )
    finally:
        ground.stop()
        shutil.rmtree(ground.directory)
    if options.json:
        print(json.dumps(everything(rounds, facts | {"load_average_after": os.getloadavg()}), indent=2))
    else:
        print(table(rows(rounds)))


def compare(
    ground: Ground,
    chosen: Sequence[Server | None],
    *,
    rounds: int,
    jobs: list[Job],
    connections: list[int],
    seconds: float,
) -> list[Mapping[str, Sequence[Run]]]:
    """Everybody by turns, each round begins with another one; who does not come up is said, and left out."""
    found: list[Mapping[str, Sequence[Run]]] = []
    left_out: set[str] = set()
    for number in range(rounds):
        turn = number % len(chosen)
        this: dict[str, Sequence[Run]] = {}
        for server in [*chosen[turn:], *chosen[:turn]]:
            name = name_of(server)
            if name in left_out:
                continue
            try:
                this[name] = measure_all(
                    ground, server, jobs=jobs, connections=connections, seconds=seconds, say=_said(name)
                )
            except Unavailable as error:
                say(f"left out: {error}")
                left_out.add(name)
        found.append({name_of(each): this[name_of(each)] for each in chosen if name_of(each) in this})
    if not found[0]:
        sys.exit("nobody came up")
    return found


def name_of(server: Server | None) -> str:
    return FLOOR if server is None else server.name


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _said(name: str) -> Callable[[Run], None]:
    return lambda run: say(
        f"  {name:28} {run.job:7} {run.connections:3}  {run.rate:8,.0f}/s"
        f"  server {run.server_cpu_ms:.3f} ms, database {run.database_cpu_ms:.3f} ms a request"
    )


if __name__ == "__main__":
    main()
