"""What was erased for good does not come back with a recovery to before it."""

from uuid import uuid4

from support.recoveries import Protected
from wedsync.tenants import ErasureBook, Subject, SubjectKind


async def run(protected: Protected, statement: str, *values: object) -> list[tuple[object, ...]]:
    async with await protected.platform.owner_target.connect() as connection:
        cursor = await connection.execute(statement.encode(), values)
        return await cursor.fetchall() if cursor.description else []


async def add_wedding(protected: Protected) -> Subject:
    couple, organization = uuid4(), uuid4()
    await run(
        protected,
        "insert into organizations (id, name, slug) values (%s, 'Fern', %s)",
        organization,
        f"fern-{organization.hex[:12]}",
    )
    await run(
        protected,
        "insert into couples (id, organization_id, partner_one_name, partner_two_name, wedding_date, time_zone)"
        " values (%s, %s, 'Ada', 'Grace', '2020-06-13', 'Europe/London')",
        couple,
        organization,
    )
    await run(
        protected,
        "insert into guests (couple_id, first_name, last_name) values (%s, 'Charles', 'Babbage')",
        couple,
    )
    return Subject(kind=SubjectKind.COUPLE, id=couple)


async def guests(protected: Protected, subject: Subject) -> int:
    [(count,)] = await run(protected, "select count(*) from guests where couple_id = %s", subject.id)
    assert isinstance(count, int)
    return count


async def test_an_erasure_is_done_again_after_a_recovery_to_before_it(protected: Protected) -> None:
    erased, kept = await add_wedding(protected), await add_wedding(protected)
    before = await protected.moment()
    await protected.platform.eraser.erase(erased, by="the operator")
    assert await guests(protected, erased) == 0
    after = await protected.moment()
    await protected.commit()

    await protected.recover(before)
    assert await guests(protected, erased) == 0
    assert await guests(protected, kept) == 1
    values = await run(
        protected,
        "select 1 from audit.record_version where couple_id = %s and num_nonnulls(old_row, new_row, row_key) > 0",
        erased.id,
    )
    assert values == []
    [(erasures,)] = await run(protected, "select count(*) from audit.erasures")
    assert erasures == 1
    proofs = sorted(protected.home.erasures.iterdir())
    assert len(proofs) == 2
    assert '"again_after_a_recovery": true' in proofs[1].read_text()

    # a state that knows of the erasure is left as it is
    await protected.recover(after)
    assert await guests(protected, kept) == 1
    assert len(list(protected.home.erasures.iterdir())) == 2


async def test_an_erasure_is_done_again_though_the_state_file_was_lost_since(protected: Protected) -> None:
    """A machine that is lost takes `state.db` with it: the database says which erasures there were."""
    erased = await add_wedding(protected)
    before = await protected.moment()
    await protected.platform.eraser.erase(erased, by="the operator")
    await protected.commit()
    protected.platform.state.write("delete from erasures")

    await protected.platform.settle_after_recovery()  # the last step of a rescue
    (learnt,) = ErasureBook(protected.platform.state).all()
    assert (learnt.subject, learnt.asked_by) == (erased, "the operator")
    assert learnt.erased_at is not None
    assert len(list(protected.home.erasures.iterdir())) == 1

    await protected.recover(before)
    assert await guests(protected, erased) == 0


async def test_a_recovery_to_before_the_wedding_has_nothing_to_erase(protected: Protected) -> None:
    before = await protected.moment()
    erased = await add_wedding(protected)
    await protected.platform.eraser.erase(erased, by="the operator")
    await protected.recover(before)
    assert await run(protected, "select 1 from couples where id = %s", erased.id) == []
    await protected.undo()
    assert await guests(protected, erased) == 0
