"""What row-level security costs: the pages' queries with it and without, by turns, in one run.

    python bench/rls --work DIR [--couples 1000] [--guests 1000] [--pairs 60] [--port 27201] [--explain]

DIR must be new or empty. As any user but root; python is
that of `bin/wedsync`. What is measured and how fair it is: bench/README.md.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from compare import Pairs, compare, explain
from contrast import contrast
from ground import Ground
from queries import QUERIES

ALLOWED = 2.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Queries with row-level security and without.")
    parser.add_argument("--work", type=Path, required=True, help="a new or empty directory")
    parser.add_argument("--couples", type=int, default=1000)
    parser.add_argument("--guests", type=int, default=1000, help="of each couple")
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--contrast-couples", type=int, default=100, help="weddings of the slow forms")
    parser.add_argument("--port", type=int, default=27201)
    parser.add_argument("--explain", action="store_true", help="show the plans under row-level security")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if os.geteuid() == 0:
        sys.exit("PostgreSQL does not run as root: run this as an ordinary user")
    work: Path = options.work.resolve()
    facts = {"at": datetime.now(UTC).isoformat(), "load_average": os.getloadavg(), "couples": options.couples}
    ground = Ground(work / "home", port=options.port)
    ground.start()
    try:
        guests = ground.fill(couples=options.couples, guests=options.guests)
        print(f"{guests:,} guests of {options.couples:,} weddings", flush=True)
        callers = ground.callers()
        found: dict[str, dict[str, Pairs]] = {}
        for query in QUERIES:
            caller = callers[query.caller]
            found[query.name] = {
                how: compare(ground, query, caller, pairs=options.pairs, prepare=how == "prepared")
                for how in ("planned each time", "prepared")
            }
            print(f"  {query.name}: {found[query.name]['planned each time'].ratio:.2f}", flush=True)
            if options.explain:
                print(explain(ground, query, caller))
        weddings = {name: len(caller.couples) for name, caller in callers.items()}
        rows, forms = contrast(
            ground, callers["partner"], couples=options.contrast_couples, pairs=max(3, options.pairs // 10)
        )
    finally:
        ground.stop()
    print(f"\n{guests:,} guests; weddings of all: {options.couples:,}, of {weddings}; {options.pairs} pairs\n")
    print(table_of_queries(found))
    print(f"\nOther forms of the same rule, {rows:,} guests, a partner who sees one wedding\n")
    print(table_of_forms(forms))
    path = work / f"rls-{datetime.now(UTC):%Y%m%dT%H%M%S}.json"
    every = {name: {how: asdict(pairs) for how, pairs in by_how.items()} for name, by_how in found.items()}
    kept = {"facts": facts, "queries": every, "forms": {form: asdict(pairs) for form, pairs in forms.items()}}
    path.write_text(json.dumps(kept, indent=2) + "\n")
    print(f"\nevery pair: {path}")
    over = [name for name, by_how in found.items() if min(pairs.ratio for pairs in by_how.values()) > ALLOWED]
    if over:
        print(f"over {ALLOWED:g} times: {', '.join(over)}")


def table_of_queries(found: Mapping[str, Mapping[str, Pairs]]) -> str:
    """Milliseconds and ratios of the pairs."""
    lines = [
        "| query | rows | how | with ms | without ms | ratio | least | most | added ms |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, by_how in found.items():
        for how, pairs in by_how.items():
            added = statistics.median(ours - bare for ours, bare in zip(pairs.under_rls, pairs.bare, strict=True))
            lines.append(f"| {name} | {pairs.rows} | {how} | {_figures(pairs)} | {added:.2f} |")
    return "\n".join(lines)


def table_of_forms(forms: Mapping[str, Pairs]) -> str:
    """The same for each form of the policy."""
    lines = ["| policy | with ms | without ms | ratio | least | most |", "|---|--:|--:|--:|--:|--:|"]
    lines += [f"| `{form}` | {_figures(pairs)} |" for form, pairs in forms.items()]
    return "\n".join(lines)


def _figures(pairs: Pairs) -> str:
    spread = f"{pairs.ratio:.2f} | {min(pairs.ratios):.2f} | {max(pairs.ratios):.2f}"
    return f"{statistics.median(pairs.under_rls):.2f} | {statistics.median(pairs.bare):.2f} | {spread}"


if __name__ == "__main__":
    main()
