"""A thousand small migrations: the product beside psql, alembic, node-pg-migrate and dbmate, in one run.

    python bench/migrate --work DIR [--files 1000] [--rounds 5] [--port 27101]

All apply the same text to an empty database of the same server, by turns, in a new order each round. DIR must be
new or empty; the peers are installed there. As any user but root; python is that of `bin/wedsync`. What is
measured and how fair it is: bench/README.md.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from contestants import Contestant, Cost, JobFailed, OurCommand, Transactions, all_contestants, is_root
from files import small_changes, tables_of
from ground import Ground
from report import Run, conditions, save, table_of_commands, table_of_runs, table_of_stalls
from stall import Stall, measure

T = TypeVar("T")
_ASKED = 9


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A thousand small migrations beside psql and three peers.")
    parser.add_argument("--work", type=Path, required=True, help="a new or empty directory")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--hold-s", type=float, default=3.0, help="how long a transaction is in the way of a change"
    )
    parser.add_argument("--port", type=int, default=27101)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if is_root():
        sys.exit("PostgreSQL does not run as root: run this as an ordinary user")
    work: Path = options.work.resolve()
    facts = conditions() | {"files": options.files, "rounds": options.rounds}
    ground = Ground(work / "home", port=options.port)
    ground.start()
    try:
        contestants = all_contestants(ground, work, say=lambda words: print(words, flush=True))
        runs = compare(contestants, ground, files=options.files, rounds=options.rounds)
        commands = nothing_to_do(contestants, ground, files=options.files)
        stalls = compare_stalls(contestants, ground, rounds=options.rounds, hold_s=options.hold_s)
    finally:
        ground.stop()
    print(f"\n{options.files} files, {options.rounds} rounds; ratios to psql with as many transactions\n")
    print(table_of_runs(runs), table_of_commands(commands), table_of_stalls(stalls), sep="\n\n")
    print(f"\nevery run: {save(work, facts=facts, runs=runs, commands=commands, stalls=stalls)}")


def compare(
    contestants: Sequence[Contestant], ground: Ground, *, files: int, rounds: int
) -> dict[tuple[Transactions, str], list[Run]]:
    """Everybody applies everything to an empty database; a first round, which is not counted, warms up."""
    changes = small_changes(files)
    runs: dict[tuple[Transactions, str], list[Run]] = {(each.transactions, each.name): [] for each in contestants}
    for number in range(-1, rounds):
        for contestant in in_turn(contestants, number):
            ground.new_database()
            contestant.prepare(changes)
            server_cpu_s = ground.server_cpu_s()
            cost = contestant.run()
            server_cpu_s = ground.server_cpu_s() - server_cpu_s
            if (made := ground.tables("bench_")) != tables_of(files):
                raise JobFailed(f"{contestant.name}: {made} tables, not {tables_of(files)}")
            if number < 0:
                continue
            runs[contestant.transactions, contestant.name].append(Run(cost=cost, server_cpu_s=server_cpu_s))
            print(f"  {contestant.transactions:12} {contestant.name:24} {cost.wall_s:7.2f} s", flush=True)
    return runs


def nothing_to_do(contestants: Sequence[Contestant], ground: Ground, *, files: int) -> dict[str, list[Cost]]:
    """What the command takes when everything is applied."""
    ours = next(each for each in contestants if isinstance(each, OurCommand))
    ground.new_database()
    ours.prepare(small_changes(files))
    ours.run()
    asked: dict[str, list[Cost]] = {"wedsync migrate up": [], "wedsync migrate status": []}
    for _ in range(_ASKED):
        asked["wedsync migrate up"].append(ours.ask("up"))
        asked["wedsync migrate status"].append(ours.ask("status"))
    return asked


def compare_stalls(
    contestants: Sequence[Contestant], ground: Ground, *, rounds: int, hold_s: float
) -> dict[str, list[Stall]]:
    """Readers behind a change that waits for somebody's transaction, by one program of each kind."""
    by_name = {each.name: each for each in reversed(contestants)}
    compared = [by_name[name] for name in dict.fromkeys(each.name for each in contestants) if name in by_name]
    programs = [each for each in compared if each.name not in {"psql, BEGIN and COMMIT", "wedsync, as a library"}]
    stalls: dict[str, list[Stall]] = {each.name: [] for each in programs}
    for number in range(rounds):
        for contestant in in_turn(programs, number):
            stall = measure(ground, contestant, hold_s=hold_s)
            stalls[contestant.name].append(stall)
            print(f"  {'a stall':12} {contestant.name:24} {stall.worst_ms:7.0f} ms", flush=True)
    return stalls


def in_turn(contestants: Sequence[T], number: int) -> list[T]:
    """Another one first in each round."""
    first = number % len(contestants)
    return [*contestants[first:], *contestants[:first]]


if __name__ == "__main__":
    main()
