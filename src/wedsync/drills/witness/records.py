"""Witnesses in the state file, and the one that lies on the way of a restore."""

import json
import sqlite3
import zlib
from dataclasses import replace
from datetime import datetime

import msgspec

from wedsync.database import Lsn
from wedsync.drills.witness.model import LeftOut, TableDigest, Witness
from wedsync.migrations import CatalogueObject, Fingerprint
from wedsync.state import StateStore, as_moment, as_text


def record_witness(state: StateStore, witness: Witness, catalogue: Fingerprint | None) -> Witness:
    """Write a witness down, with the catalogue it saw; gives it with its id. All of it is written, or nothing."""
    digest = catalogue.digest if catalogue is not None else None
    with state.transaction():
        if catalogue is not None:
            objects = [[it.kind, it.name, it.relation, it.facts] for it in catalogue.objects]
            state.write(
                "insert or ignore into witness_catalogues (digest, objects) values (?, ?)",
                (digest, zlib.compress(json.dumps(objects).encode())),
            )
        number = state.write(
            "insert into witnesses (at, system_id, timeline, lsn, position, database, reason, tables, left_out,"
            " catalogue, took_s, waited_s) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                as_text(witness.at),
                witness.system_id,
                witness.timeline,
                str(witness.lsn),
                _sortable(witness.lsn),
                witness.database,
                witness.reason,
                msgspec.json.encode(witness.tables).decode(),
                msgspec.json.encode(witness.left_out).decode(),
                digest,
                witness.took_s,
                witness.waited_s,
            ),
        )
    return replace(witness, id=number, catalogue=digest)


def nearest_witness(
    state: StateStore, system_id: str, timeline: int, after_lsn: Lsn, before: datetime
) -> Witness | None:
    """The last witness on the way from a backup that ends at `after_lsn` to the moment `before`, on one timeline.

    A copy that stops at its place can be moved forward to the moment: no commit in it is later. `None`: there is
    none on the way.
    """
    row = state.row(
        "select * from witnesses where system_id = ? and timeline = ? and position >= ? and at <= ?"
        " order by position desc limit 1",
        (system_id, timeline, _sortable(after_lsn), as_text(before)),
    )
    return _witness(row) if row is not None else None


def newest_witness(state: StateStore) -> Witness | None:
    """The one that was taken last."""
    row = state.row("select * from witnesses order by at desc limit 1")
    return _witness(row) if row is not None else None


def catalogue_of(state: StateStore, witness: Witness) -> Fingerprint | None:
    """The catalogue that a witness saw; `None`: it was being changed just then."""
    row = state.row("select objects from witness_catalogues where digest = ?", (witness.catalogue,))
    if row is None:
        return None
    return Fingerprint(
        objects=tuple(
            CatalogueObject(kind=kind, name=name, relation=relation, facts=facts)
            for kind, name, relation, facts in json.loads(zlib.decompress(row["objects"]))
        )
    )


def forget_witnesses(state: StateStore, *, before: datetime) -> None:
    """Remove what lies before the recovery window: no copy can stop there."""
    with state.transaction():
        state.write("delete from witnesses where at < ?", (as_text(before),))
        state.write(
            "delete from witness_catalogues where digest not in"
            " (select catalogue from witnesses where catalogue is not null)"
        )


def _sortable(lsn: Lsn) -> int:
    """SQLite's integers are signed: positions from the middle on become negative, in their order."""
    return lsn.position - (1 << 63)


def _witness(row: sqlite3.Row) -> Witness:
    return Witness(
        id=row["id"],
        at=as_moment(row["at"]),
        system_id=row["system_id"],
        timeline=row["timeline"],
        lsn=Lsn.parse(row["lsn"]),
        database=row["database"],
        reason=row["reason"],
        tables=msgspec.json.decode(row["tables"], type=tuple[TableDigest, ...]),
        left_out=msgspec.json.decode(row["left_out"], type=tuple[LeftOut, ...]),
        catalogue=row["catalogue"],
        took_s=row["took_s"],
        waited_s=row["waited_s"],
    )
