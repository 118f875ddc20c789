"""From which column of which table each column of a view comes.

PostgreSQL notes it in the view's parse tree: each entry of the target list has `resorigtbl` and `resorigcol`,
traced through joins, subqueries and `with`, but not through another view; expressions have none. (`pg_depend`
knows the columns that a view uses, not which of its own columns shows which.)
"""

import re
from collections.abc import Iterable, Mapping

from wedsync.database.catalogue.rows import ViewRow

Origin = tuple[int, int]
"""Relation and column number."""

# what is special in a name is escaped by a backslash; brackets say how deep we are
_TOKEN = re.compile(r"\\.|[{}()]|:resno (\d+) |:resorigtbl (\d+) |:resorigcol (\d+) ", re.DOTALL)
_LIST = " :targetList ("
_AROUND = 2
"""Brackets around the fields of the outermost query: `({QUERY :commandType …})`."""
_IN_ENTRY = 2
"""Brackets around those of its target entries: `({TARGETENTRY …})`."""


def origins_of(definition: str) -> dict[int, Origin]:
    """By column number of the view: relation and column that it shows unchanged."""
    found: dict[int, Origin] = {}
    depth, number, relation = 0, 0, 0
    for token in _TOKEN.finditer(definition, _outermost_list(definition)):
        match token.group()[0]:
            case "{" | "(":
                depth += 1
            case "}" | ")":
                depth -= 1
                if depth == 0:
                    break
            case ":" if depth == _IN_ENTRY:
                if token.lastindex == 1:
                    number = int(token[1])
                elif token.lastindex == 2:
                    relation = int(token[2])
                elif relation:
                    found[number] = relation, int(token[3])
            case _:
                pass
    return found


def _outermost_list(definition: str) -> int:
    """Where the target list of the query itself begins, not that of a subquery, before or inside it.

    Most of a definition is before it and is not looked at: behind the right list, and behind no other one, as many
    brackets more are closed than opened as there are around the query.
    """
    place = len(definition)
    while (place := definition.rfind(_LIST, 0, place)) >= 0:
        rest = definition[place:]
        opened, closed = (
            sum(rest.count(bracket) - rest.count("\\" + bracket) for bracket in brackets)
            for brackets in ("{(", "})")
        )
        if closed - opened == _AROUND:
            return place + len(_LIST) - 1
    return len(definition)


def shown_columns(views: Iterable[ViewRow]) -> dict[int, dict[Origin, list[int]]]:
    """By exposed view: which of its columns show each column below it, also through other views."""
    rows = list(views)
    origins = {view.relation: origins_of(view.definition) for view in rows}
    shown: dict[int, dict[Origin, list[int]]] = {}
    for view in rows:
        if view.exposed:
            own = shown.setdefault(view.relation, {})
            for number in sorted(origins[view.relation]):
                for below in _way_down((view.relation, number), origins):
                    own.setdefault(below, []).append(number)
    return shown


def _way_down(start: Origin, origins: Mapping[int, Mapping[int, Origin]]) -> list[Origin]:
    """The columns that a view's column leads to, level by level."""
    way: list[Origin] = []
    here = start
    while (below := origins.get(here[0], {}).get(here[1])) is not None and below not in way:
        way.append(below)
        here = below
    return way
