"""What doctor says of a server, from facts alone."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from wedsync.cluster import Capability, Facts, HomeFacts, capabilities
from wedsync.cluster.capabilities import ROLES

GOOD = Facts(
    version=150018,
    role="postgres",
    superuser=True,
    tls=True,
    tls_version="TLSv1.3",
    settings={
        "wal_level": "logical",
        "archive_mode": "on",
        "archive_command": "pgbackrest --stanza=wedsync archive-push %p",
        "data_checksums": "on",
        "track_commit_timestamp": "on",
        "shared_preload_libraries": "pg_stat_statements",
        "password_encryption": "scram-sha-256",
        "max_replication_slots": "10",
    },
    platform_roles=frozenset(ROLES),
    callable_functions=frozenset(
        {
            "pg_backup_start(text,boolean)",
            "pg_backup_stop(boolean)",
            "pg_switch_wal()",
            "pg_create_restore_point(text)",
        }
    ),
    extensions={"pg_stat_statements": True},
    data_directory_here=True,
)
HOME = HomeFacts(
    root=Path("/srv/wedsync"),
    free_bytes=10**11,
    wanted_bytes=10**10,
    certificate_lasts=timedelta(days=300),
    open_files=(),
    newest_file_ahead=timedelta(0),
    installed_version=150018,
    pgbackrest_version=(2, 45),
)


def of(facts: Facts, feature: str) -> Capability:
    return next(item for item in capabilities(facts) if item.feature == feature)


def with_setting(name: str, value: str | None) -> Facts:
    changed = {**GOOD.settings, name: value}
    return replace(GOOD, settings={key: item for key, item in changed.items() if item is not None})


def test_a_good_server_allows_everything_and_needs_nothing() -> None:
    found = capabilities(replace(GOOD, home=HOME))
    assert [item for item in found if not item.available or item.remedy] == []


@pytest.mark.parametrize(
    ("version", "supported", "corrected"),
    [
        (140022, False, False),
        (150013, True, False),
        (150014, True, True),
        (160009, True, False),
        (170006, True, True),
        (190000, True, True),
    ],
)
def test_versions(version: int, supported: bool, corrected: bool) -> None:
    facts = replace(GOOD, version=version)
    assert of(facts, "supported version").available is supported
    assert of(facts, "security corrections").available is corrected


@pytest.mark.parametrize(
    ("version", "tight", "remedy"),
    [
        (140022, False, "pg_upgrade to 15 or newer"),
        (150013, False, "install PostgreSQL 15.14 or newer"),
        (150014, True, None),
        (160009, False, "install PostgreSQL 16.10 or newer"),
        (160010, True, None),
        (170005, False, "install PostgreSQL 17.6 or newer"),
        (170006, True, None),
        (180000, True, None),
        (190001, True, None),
    ],
)
def test_tenants_are_not_isolated_by_a_server_that_leaks(version: int, tight: bool, remedy: str | None) -> None:
    found = of(replace(GOOD, version=version), "isolation of tenants")
    assert found.available is tight
    assert ("CVE-2025-8713" in found.because) is not tight
    assert next(iter(found.remedy), None) == remedy


def test_archiving_says_every_setting_that_is_wrong_and_one_restart() -> None:
    facts = replace(
        GOOD, settings={**GOOD.settings, "wal_level": "minimal", "archive_mode": "off", "archive_command": ""}
    )
    found = of(facts, "point-in-time recovery")
    assert not found.available
    assert found.because == (
        "wal_level = minimal writes too little WAL; archive_mode = off; archive_command is not set"
    )
    assert found.remedy == (
        "alter system set wal_level = 'replica';",
        "alter system set archive_mode = 'on';",
        "restart PostgreSQL",
        "alter system set archive_command = 'pgbackrest --config=… --stanza=… archive-push %p';",
        "select pg_reload_conf();",
    )


def test_another_archiver_is_named() -> None:
    found = of(with_setting("archive_command", "wal-g wal-push %p"), "point-in-time recovery")
    assert found.because == "archive_command is 'wal-g wal-push %p'"


def test_a_hidden_setting_is_not_taken_for_a_wrong_one() -> None:
    facts = replace(with_setting("archive_command", None), superuser=False, role="App User")
    found = of(facts, "point-in-time recovery")
    assert found.because == "archive_command is hidden from App User"
    assert found.remedy == ('grant pg_read_all_settings to "App User";',)


def test_a_preload_library_is_added_to_those_there_are() -> None:
    facts = replace(
        with_setting("shared_preload_libraries", "timescaledb, auto_explain"),
        extensions={"pg_stat_statements": False},
    )
    assert of(facts, "statement statistics").remedy == (
        "alter system set shared_preload_libraries = timescaledb, auto_explain, pg_stat_statements;",
        "restart PostgreSQL",
        "create extension pg_stat_statements;",
    )


def test_an_ordinary_user_gets_the_grants_it_lacks() -> None:
    facts = replace(
        GOOD,
        role="app",
        superuser=False,
        platform_roles=frozenset(),
        callable_functions=frozenset(),
        data_directory_here=None,
    )
    assert of(facts, "rights for backups").remedy == (
        "grant execute on function pg_catalog.pg_backup_start(text,boolean) to app;",
        "grant execute on function pg_catalog.pg_backup_stop(boolean) to app;",
        "grant execute on function pg_catalog.pg_switch_wal() to app;",
        "grant execute on function pg_catalog.pg_create_restore_point(text) to app;",
        "grant pg_read_all_settings, pg_checkpoint to app;",
    )
    assert of(facts, "monitoring").remedy == ("grant pg_monitor to app;",)
    assert of(facts, "change feed").remedy == ("alter role app replication;",)
    assert "create role service_role nologin noinherit bypassrls;" in of(facts, "tenant isolation roles").remedy
    assert not of(facts, "physical backups").available


def test_a_connection_without_tls_is_told_apart_from_a_server_without() -> None:
    offered = replace(with_setting("ssl", "on"), tls=False)
    missing = replace(with_setting("ssl", "off"), tls=False)
    assert "sslmode=verify-full" in of(offered, "encrypted connection").remedy[0]
    assert "alter system set ssl = on;" in of(missing, "encrypted connection").remedy
    assert of(replace(missing, local_socket=True), "encrypted connection").available


@pytest.mark.parametrize(
    ("facts", "feature"),
    [
        (with_setting("data_checksums", "off"), "damage is noticed"),
        (with_setting("track_commit_timestamp", "off"), "commit times"),
        (with_setting("password_encryption", "md5"), "password method"),
        (with_setting("fsync", "off"), "durable commits"),
        (with_setting("wal_level", "replica"), "change feed"),
        (with_setting("max_replication_slots", "0"), "change feed"),
        (replace(GOOD, in_recovery=True), "schema and migrations"),
        (replace(GOOD, clock_ahead=timedelta(seconds=-40)), "clocks agree"),
        (replace(GOOD, data_directory_here=False), "physical backups"),
        (replace(GOOD, extensions={}), "statement statistics"),
        (replace(GOOD, home=replace(HOME, free_bytes=1)), "free space"),
        (replace(GOOD, home=replace(HOME, installed_version=150019)), "installed version runs"),
        (replace(GOOD, home=replace(HOME, certificate_lasts=timedelta(-1))), "server certificate"),
        (replace(GOOD, home=replace(HOME, open_files=("secrets/a",))), "secrets are ours alone"),
        (replace(GOOD, home=replace(HOME, newest_file_ahead=timedelta(hours=1))), "clock goes forward"),
    ],
)
def test_what_is_missing_is_said_with_a_way_to_get_it(facts: Facts, feature: str) -> None:
    missing = [item for item in capabilities(facts) if not item.available]
    assert [item.feature for item in missing] == [feature]
    assert missing[0].because
    assert missing[0].remedy


def test_wal_that_waits_for_a_full_segment_is_said() -> None:
    found = of(with_setting("archive_timeout", "0"), "point-in-time recovery")
    assert not found.available
    assert found.remedy == ("alter system set archive_timeout = '60s';", "select pg_reload_conf();")
