"""Backups and recoveries: the product beside bare pgBackRest, pg_basebackup and Barman, in one run.

    python bench/backup --work DIR [--size 8] [--rounds 3] [--wal-mb 200] [--port 27001]

All back up the same server, by turns, in a new order each round. DIR must be new or empty: the home, Barman's
environment and its backups go there, and stay there to be looked at. As any user but root; python is that
of `bin/wedsync`. What is measured and how fair it is: bench/README.md.
"""

import argparse
import sys
from pathlib import Path

from contestants import Bare, Barman, BaseBackup, Contestant, Ours, OursInside, Repository, is_root
from ground import Ground
from measure import JobFailed, keep_orphans
from report import Report, conditions


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Backups and recoveries beside three peers, in one run.")
    parser.add_argument("--work", type=Path, required=True, help="a new or empty directory")
    parser.add_argument("--size", type=float, default=8.0, help="times 150 weddings of the demo season")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wal-mb", type=int, default=200, help="WAL between the backup and the moment")
    parser.add_argument("--changed", type=float, default=0.01, help="share of the guests before an incremental")
    parser.add_argument("--port", type=int, default=27001)
    parser.add_argument("--only", choices=["backup", "recover", "all"], default="all")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if is_root():
        sys.exit("PostgreSQL does not run as root: run this as an ordinary user")
    work: Path = options.work.resolve()
    keep_orphans()
    ground = Ground(work / "home", port=options.port)
    before = conditions()
    database_bytes = ground.prepare(size=options.size)
    print(f"{database_bytes / 1e6:.0f} MB in the databases", flush=True)
    facts = before | {"size": options.size, "rounds": options.rounds, "database_bytes": database_bytes}
    report = Report(facts=facts)
    repository = Repository(ground)
    contestants: list[Contestant] = [
        Ours(ground, repository),
        Bare(ground, repository),
        OursInside(ground, repository),
        BaseBackup(ground, work / "pg_basebackup"),
    ]
    barman = None
    try:
        barman = Barman(ground, work / "barman")
        contestants.append(barman)
    except JobFailed as error:
        print(f"without Barman: {error}")
    try:
        if options.only != "recover":
            compare_backups(contestants, ground, report, rounds=options.rounds, changed=options.changed)
        if options.only != "backup":
            compare_recoveries(
                contestants, ground, repository, report, rounds=options.rounds, wal_mb=options.wal_mb
            )
    finally:
        if barman is not None:
            barman.close()
        ground.stop()
    load = ", ".join(f"{value:.1f}" for value in before["load_average"])
    print(f"\n{database_bytes / 1e6:.0f} MB, {before['processors']} processors, load before {load}")
    print("in brackets: the ratio to bare pgBackRest\n")
    print(report.tables())
    print(f"\nevery run: {report.save(Path(__file__).parents[1] / 'results' if can_write() else work)}")


def compare_backups(
    contestants: list[Contestant], ground: Ground, report: Report, *, rounds: int, changed: float
) -> None:
    """Full backups of all, then incremental ones, by turns."""
    for number in range(rounds):
        for contestant in in_turn(contestants, number):
            taken = contestant.back_up("full")
            report.add("full", contestant.name, taken.cost, stored_bytes=taken.stored_bytes)
        for contestant in in_turn([each for each in contestants if each.incremental], number):
            ground.change(changed)
            taken = contestant.back_up("incr")
            report.add("incremental", contestant.name, taken.cost, stored_bytes=taken.stored_bytes)
    for contestant in contestants:
        cost = contestant.verify()
        if cost is not None:
            report.add("verify", contestant.name, cost)


def compare_recoveries(
    contestants: list[Contestant],
    ground: Ground,
    repository: Repository,
    report: Report,
    *,
    rounds: int,
    wal_mb: int,
) -> None:
    """The data directory is gone: back to a moment behind the last backup, until writes are taken."""
    for contestant in contestants:
        if isinstance(contestant, Bare):
            known = repository.labels()
            contestant.back_up("full")
            (repository.base,) = repository.labels() - known
        elif not isinstance(contestant, Ours | OursInside):
            contestant.back_up("full")
    moment = ground.write_wal(wal_mb)
    for contestant in contestants:
        if isinstance(contestant, Barman):
            contestant.end_of_wal()
    expected = ground.last_change_before(moment)
    for number in range(rounds):
        for contestant in in_turn([each for each in contestants if not isinstance(each, OursInside)], number):
            ground.lose_data()
            cost = contestant.recover(moment)
            if cost is None:
                continue
            seen = ground.last_change_at()
            if seen != expected:
                raise JobFailed(f"{contestant.name}: the last change is of {seen}, not {expected}")
            report.add("recovery", contestant.name, cost)


def in_turn(contestants: list[Contestant], number: int) -> list[Contestant]:
    """Another one first in each round."""
    first = number % len(contestants)
    return contestants[first:] + contestants[:first]


def can_write() -> bool:
    """Whether the checkout can be written: a service user's is often not."""
    directory = Path(__file__).parents[1] / "results"
    try:
        directory.mkdir(exist_ok=True)
        (directory / ".written").touch()
        (directory / ".written").unlink()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
