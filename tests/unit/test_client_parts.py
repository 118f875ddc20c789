"""Parts of the Python client that need no database."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from wedsync.client import Retries, connect
from wedsync.client.identity import service, user
from wedsync.client.watch import calling_place, shown_text
from wedsync.errors import ConfigProblem, SecretProblem, UsageProblem


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("select  1", "select ?"),
        ("select *\n  from guests where name = 'Ann O''Hara' and 1 = 1", "select * from guests where name = …"),
        ("select $$secret$$", "select …"),
        ("select * from t1 where a = %s and b2 = 3.5", "select * from t1 where a = %s and b2 = ?"),
        ("select 1 -- it's mine\n from x", "select ? from x"),
        ("/* token 'abc' */ select 1", "select ?"),
    ],
)
def test_a_slow_statement_is_told_without_values(statement: str, shown: str) -> None:
    assert shown_text(statement) == shown


def test_a_long_statement_is_cut() -> None:
    assert len(shown_text("select " + "a, " * 5000)) == 300


def test_waits_grow_to_their_end_and_are_spread() -> None:
    retries = Retries(first_wait=timedelta(milliseconds=20), longest_wait=timedelta(seconds=1))
    assert retries.wait_s(1, chance=1.0) == 0.02
    assert retries.wait_s(2, chance=1.0) == 0.04
    assert retries.wait_s(1, chance=0.0) == 0.01
    assert retries.wait_s(60, chance=1.0) == 1.0


def test_a_user_is_authenticated_unless_the_claims_say_otherwise() -> None:
    found = user({"sub": "u1"})
    assert found.role == "authenticated"
    assert json.loads(found.claims) == {"sub": "u1", "role": "authenticated"}
    assert user({"role": "anon"}).role == "anon"
    assert json.loads(service().claims) == {"role": "service_role"}


@pytest.mark.parametrize("claims", [{}, {"sub": 7}, {"sub": "u", "role": ""}, {"sub": "u", "role": "none"}])
def test_claims_that_name_nobody_are_refused(claims: dict[str, object]) -> None:
    with pytest.raises(UsageProblem):
        user(claims)


def test_the_place_is_that_of_the_caller() -> None:
    assert calling_place().endswith("test_the_place_is_that_of_the_caller")


async def test_one_database_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem):
        async with connect():
            pass
    with pytest.raises(UsageProblem):
        async with connect("postgresql://x", home=tmp_path):
            pass
    with pytest.raises(SecretProblem):
        async with connect(home=tmp_path):
            pass
    with pytest.raises(ConfigProblem):
        async with connect("postgresql://host:port:"):
            pass
