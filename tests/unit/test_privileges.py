"""Access control lists: one more user may pass, nobody else's rights change."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.process.acl import Acl, Tag, read_acl, write_acl
from wedsync.process.privileges import step_down

NO_ID = 0xFFFFFFFF
WEDSYNC, ALICE, STAFF = 999, 1000, 50
permissions = st.integers(0, 7)


@st.composite
def lists(draw: st.DrawFn) -> Acl:
    """Lists as the kernel keeps them: with a mask as soon as somebody is named."""
    acl = Acl.of_mode(draw(st.integers(0, 0o777)))
    named = draw(
        st.dictionaries(
            st.tuples(st.sampled_from([Tag.USER, Tag.GROUP]), st.sampled_from([STAFF, WEDSYNC, ALICE])),
            permissions,
        )
    )
    mask = {(Tag.MASK, NO_ID): draw(permissions)} if named or draw(st.booleans()) else {}
    return Acl(acl.entries | named | mask)


@given(lists())
def test_the_new_user_may_search(acl: Acl) -> None:
    assert acl.with_search(WEDSYNC).effective(Tag.USER, WEDSYNC) & 1


@given(lists())
def test_nobody_elses_rights_change(acl: Acl) -> None:
    granted = acl.with_search(WEDSYNC)
    others = [key for key in acl.entries if key[0] != Tag.MASK and key != (Tag.USER, WEDSYNC)]
    assert {key: granted.effective(*key) for key in others} == {key: acl.effective(*key) for key in others}


@given(lists())
def test_the_user_gains_search_and_nothing_else(acl: Acl) -> None:
    before, after = (it.effective(Tag.USER, WEDSYNC) for it in (acl, acl.with_search(WEDSYNC)))
    assert after == before | 1


@given(lists())
def test_the_kernels_bytes_come_back_as_they_went(acl: Acl) -> None:
    assert Acl.decode(acl.encode()) == acl


@given(st.integers(0, 0o777))
def test_granting_and_taking_back_leaves_plain_permission_bits(mode: int) -> None:
    assert Acl.of_mode(mode).with_search(WEDSYNC).without(WEDSYNC) == Acl.of_mode(mode)


def test_entries_are_sorted_as_the_kernel_demands() -> None:
    acl = Acl.of_mode(0o750).with_search(ALICE).with_search(WEDSYNC)
    assert [key for key, _ in sorted(acl.entries.items())] == [
        (Tag.USER_OBJ, NO_ID),
        (Tag.USER, WEDSYNC),
        (Tag.USER, ALICE),
        (Tag.GROUP_OBJ, NO_ID),
        (Tag.MASK, NO_ID),
        (Tag.OTHER, NO_ID),
    ]


def test_a_list_written_to_a_file_is_read_back(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    granted = read_acl(tmp_path).with_search(WEDSYNC)
    write_acl(tmp_path, granted)
    assert read_acl(tmp_path) == granted
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o710  # the mask shows as the group's bits


def test_a_directory_without_a_list_reads_as_its_permission_bits(tmp_path: Path) -> None:
    tmp_path.chmod(0o751)
    assert read_acl(tmp_path) == Acl.of_mode(0o751)


@pytest.mark.skipif(os.geteuid() == 0, reason="root really steps down; tests/integration/test_setup_as_root.py")
def test_who_is_not_root_has_nothing_to_give_up(tmp_path: Path) -> None:
    before = dict(os.environ)
    assert step_down(tmp_path / "home") is None
    assert dict(os.environ) == before
    assert not (tmp_path / "home").exists()
