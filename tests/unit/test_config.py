"""Configuration: layers with origins, durations, and messages that name setting and origin."""

import string
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wedsync.config import Environment, Home, LoadedConfig, Profile, RepositoryKind, default_home, load_config
from wedsync.config.load import format_duration, format_value, parse_duration
from wedsync.errors import ConfigProblem

milliseconds = st.integers(min_value=0, max_value=200 * 365 * 86_400_000).map(
    lambda count: timedelta(milliseconds=count)
)


def load(home: Home, text: str = "", environment: dict[str, str] | None = None, **flags: object) -> LoadedConfig:
    home.config_file.write_text(text)
    return load_config(home, environment or {}, flags=flags)


def setting(loaded: LoadedConfig, name: str) -> tuple[object, str]:
    return next((item.value, item.origin) for item in loaded.settings if item.name == name)


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("public", ["public"]),
        ("api  reports,Sales", ["api", "reports", "Sales"]),
        ('"Lager & Co", api', ["Lager & Co", "api"]),
        ('"a""b" "c,d"', ['a"b', "c,d"]),
        ("", []),
    ],
)
def test_schemas_are_named_with_spaces_or_commas_between(home: Home, written: str, names: list[str]) -> None:
    loaded = load(home, environment={"WEDSYNC_GATEWAY__SCHEMAS": written, "WEDSYNC_GATEWAY__SEARCH_PATH": written})
    gateway = loaded.config.gateway
    assert gateway.shown_schemas() == gateway.searched_schemas() == names


# -- durations --------------------------------------------------------------------------------------


@given(milliseconds)
@example(timedelta(0))
@example(timedelta(days=3650, milliseconds=1))
def test_a_duration_reads_back_what_it_writes(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("1h 30min", timedelta(minutes=90)),
        ("1h30m", timedelta(minutes=90)),
        (" 30d ", timedelta(days=30)),
        ("52w", timedelta(weeks=52)),
        ("1.5h", timedelta(minutes=90)),
        ("250ms", timedelta(milliseconds=250)),
        ("0s", timedelta(0)),
    ],
)
def test_durations_people_write(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", " ", "90", "s", "-1s", "1y", "1h, 2min", "1 h 3", "inf", "1e3s", "9999999999999w"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.text(alphabet=string.printable, max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        assert parse_duration(text) >= timedelta(0)
    except ValueError as error:
        assert "duration" in str(error)


# -- layers -----------------------------------------------------------------------------------------


def test_without_a_file_everything_is_a_default(home: Home) -> None:
    loaded = load_config(home, {})
    assert {item.origin for item in loaded.settings} == {"default"}
    assert loaded.config.cluster.port == 54329


def test_the_last_layer_wins_and_says_so(home: Home) -> None:
    text = "environment = 'staging'\n[cluster]\nport = 1111\n[gateway]\nport = 2222\n"
    variables = {"WEDSYNC_GATEWAY__PORT": "3333", "WEDSYNC_HOME": "/x", "PATH": "/bin"}
    loaded = load(home, text, variables, **{"backup.stanza": "mine"})
    assert setting(loaded, "cluster.port") == (1111, "wedsync.toml")
    assert setting(loaded, "gateway.port") == (3333, "WEDSYNC_GATEWAY__PORT")
    assert setting(loaded, "backup.stanza") == ("mine", "command line")
    assert setting(loaded, "database.pool.max_size") == (20, "environment staging")
    assert setting(loaded, "database.pool.statement_timeout") == (timedelta(seconds=30), "default")


def test_a_file_wins_over_the_environments_preset(home: Home) -> None:
    loaded = load(home, "environment = 'staging'\n[database.pool]\nmax_size = 44\n")
    assert setting(loaded, "database.pool.max_size") == (44, "wedsync.toml")


def test_the_environment_may_come_from_a_variable(home: Home) -> None:
    loaded = load(home, "", {"WEDSYNC_ENVIRONMENT": "development"})
    assert loaded.config.environment is Environment.DEVELOPMENT
    assert loaded.config.backup.recovery_window == timedelta(days=1)


def test_every_setting_can_be_given_by_a_variable_with_the_text_that_shows_it(home: Home) -> None:
    def text(value: object) -> str:
        return format_duration(value) if isinstance(value, timedelta) else str(value)

    defaults = load_config(home, {})
    plain = (bool, int, float, str, timedelta)
    variables = {
        "WEDSYNC_" + item.name.replace(".", "__").upper(): text(item.value)
        for item in defaults.settings
        if isinstance(item.value, plain)
    }
    given_again = load_config(home, variables)
    assert given_again.config == defaults.config
    assert len(variables) > 30


def test_durations_numbers_and_switches_from_text(home: Home) -> None:
    variables = {
        "WEDSYNC_BACKUP__ENABLED": "no",
        "WEDSYNC_BACKUP__RECOVERY_WINDOW": "7d",
        "WEDSYNC_CLUSTER__MEMORY_SHARE": "0.1",
        "WEDSYNC_BACKUP__REPO2__INCR_EVERY": "never",
    }
    config = load(home, "", variables).config
    assert config.backup.enabled is False
    assert config.backup.recovery_window == timedelta(days=7)
    assert config.cluster.memory_share == 0.1
    assert config.backup.repo2 is not None
    assert config.backup.repo2.incr_every is None


def test_a_second_repository_keeps_its_defaults_where_nothing_is_said(home: Home) -> None:
    text = """
[backup.repo2]
kind = "s3"
path = "/wedsync"
[backup.repo2.options]
s3-bucket = "weddings"
"""
    repo2 = load(home, text).config.backup.repo2
    assert repo2 is not None
    assert (repo2.kind, repo2.path, repo2.incr_every) == (RepositoryKind.S3, "/wedsync", timedelta(hours=6))
    assert repo2.options == {"s3-bucket": "weddings"}


def test_there_may_be_no_second_repository(home: Home) -> None:
    loaded = load(home, "[backup]\nrepo2 = false\n")
    assert loaded.config.backup.repo2 is None
    assert setting(loaded, "backup.repo2") == (None, "wedsync.toml")


def test_a_variable_can_switch_the_second_repository_off(home: Home) -> None:
    loaded = load(home, "[backup.repo2]\npath = 'x'\n", {"WEDSYNC_BACKUP__REPO2": "false"})
    assert loaded.config.backup.repo2 is None
    assert setting(loaded, "backup.repo2") == (None, "WEDSYNC_BACKUP__REPO2")


def test_no_second_repository_but_one_of_its_settings_contradict_each_other(home: Home) -> None:
    with pytest.raises(ConfigProblem, match="repo2"):
        load(home, "[backup]\nrepo2 = false\n", {"WEDSYNC_BACKUP__REPO2__PATH": "elsewhere"})


def test_further_settings_of_postgresql_are_taken_as_they_are(home: Home) -> None:
    config = load(home, "[cluster.settings]\nwork_mem = '64MB'\n").config
    assert config.cluster.settings == {"work_mem": "64MB"}


# -- what is wrong is named -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = 1", ["unknown setting 'port'"]),
        ("[cluster]\nprot = 1", ["unknown setting 'cluster.prot'"]),
        ("cluster = 5", ["cluster"]),
        ("[cluster]\nport = 'x'", ["cluster.port", "wedsync.toml"]),
        ("[cluster]\nport = 70000", ["cluster.port is 70000", "wedsync.toml"]),
        ("[cluster]\nmemory_share = 0.9", ["cluster.memory_share is 0.9"]),
        ("[cluster]\nlocale_provider = 'ucs'", ["cluster.locale_provider", "wedsync.toml"]),
        ("[backup]\nrecovery_window = '30 days'", ["backup.recovery_window", "no duration", "wedsync.toml"]),
        ("[backup]\nrecovery_window = 30", ["backup.recovery_window", "wedsync.toml"]),
        ("[backup]\nrecovery_window = '1h'", ["shorter than backup.repo1.full_every"]),
        ("[backup]\ncompression = 'rar'", ["backup.compression"]),
        ("[backup]\narchive_timeout = '0s'", ["backup.archive_timeout is below one second"]),
        ("[database.pool]\nleast_size = 2", ["unknown setting 'database.pool.least_size'"]),
        ("profile = 'external'", ["database to adopt"]),
        ("profile = 'cluster'", ["not part of this version"]),
        ("environment = 'prod'", ["unknown environment 'prod'", "wedsync.toml"]),
        ("environment = 5", ["unknown environment 5"]),
        ("= broken", ["is not TOML"]),
        ("[backup.repo1]\nfull_every = '0s'", ["backup.repo1.full_every"]),
        ("[backup.repo2]\nincr_every = '0s'", ["backup.repo2.incr_every"]),
        ("[database.pool]\nmax_size = 0", ["database.pool.max_size"]),
        ("[backup]\nprocesses = -1", ["backup.processes"]),
        ("[backup]\ncompression_level = 99", ["backup.compression_level"]),
        ("[backup]\nstanza = 'a b/../c'", ["backup.stanza"]),
        ('[cluster.settings]\nwork_mem = "a\\nb"', ["cluster.settings"]),
        ("[cluster.settings]\nport = '5432'", ["cluster.settings", "cluster.port"]),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_origin(home: Home, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigProblem) as caught:
        load(home, text)
    said = str(caught.value)
    assert [word for word in words if word not in said] == [], said


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("WEDSYNC_NONSENSE", "1", ["unknown setting 'nonsense'", "WEDSYNC_NONSENSE"]),
        ("WEDSYNC_CLUSTER__PORT", "x", ["cluster.port", "WEDSYNC_CLUSTER__PORT"]),
        ("WEDSYNC_BACKUP__ENABLED", "maybe", ["backup.enabled", "WEDSYNC_BACKUP__ENABLED"]),
        ("WEDSYNC_BACKUP__KEEP_WEEKLY", "soon", ["backup.keep_weekly", "WEDSYNC_BACKUP__KEEP_WEEKLY"]),
    ],
)
def test_a_mistake_in_a_variable_is_named_with_the_variable(
    home: Home, variable: str, value: str, words: list[str]
) -> None:
    with pytest.raises(ConfigProblem) as caught:
        load(home, "", {variable: value})
    said = str(caught.value)
    assert [word for word in words if word not in said] == [], said


@pytest.mark.parametrize(
    "text",
    [
        "[database]\ndsn = 'postgresql://u:hunter2@h/db'\nport = 1\n",
        "[database]\ndns = 'postgresql://u:hunter2@h/db'\n",
    ],
)
def test_a_mistake_never_repeats_a_password(home: Home, text: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        load(home, text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("postgresql://u:hunter2@h/db", "postgresql://u:***@h/db"),
        ("host=h password='hunter2 x' user=u", "host=h password=*** user=u"),
        ("postgresql://h/db?password=hunter2&user=u", "postgresql://h/db?password=***&user=u"),
        ({"primary_conninfo": "host=h password=hunter2"}, "primary_conninfo = host=h password=***"),
        ({"s3-key-secret": "hunter2", "s3-bucket": "b"}, "s3-key-secret = ***, s3-bucket = b"),
        ({"s3-key-secret": "@s3"}, "s3-key-secret = @s3"),
    ],
)
def test_a_value_is_shown_without_its_password(value: object, shown: str) -> None:
    assert format_value(value) == shown


def test_a_file_that_cannot_be_read_is_named(home: Home) -> None:
    home.config_file.mkdir()
    with pytest.raises(ConfigProblem, match=r"cannot read .*wedsync\.toml"):
        load_config(home, {})


def test_an_external_database_needs_only_its_dsn(home: Home) -> None:
    loaded = load(home, "profile = 'external'\n", {"WEDSYNC_DATABASE__DSN": "postgresql://u@h/db"})
    assert loaded.config.profile is Profile.EXTERNAL


# -- the home ---------------------------------------------------------------------------------------


def test_the_home_is_the_one_given_then_the_variables_then_the_users(tmp_path: Path) -> None:
    variables = {"WEDSYNC_HOME": "/from/variable", "HOME": "/home/ann"}
    assert default_home(str(tmp_path), variables).root == tmp_path
    assert default_home(None, variables).root == Path("/from/variable")
    assert default_home(None, {"HOME": "/home/ann"}).root == Path("/home/ann/.wedsync")


def test_a_relative_path_of_the_configuration_is_below_the_home() -> None:
    home = Home(Path("/srv/wedsync"))
    assert home.resolve("repo1") == Path("/srv/wedsync/repo1")
    assert home.resolve("/mnt/repo1") == Path("/mnt/repo1")


def test_the_sockets_directory_is_short_enough_for_the_kernel() -> None:
    near = Home(Path("/srv/wedsync"))
    far = Home(Path("/srv") / ("w" * 100))
    assert near.sockets == near.run
    assert far.sockets.parent == Path("/tmp")  # noqa: S108 - the answer, not a place we write to
    assert far.sockets != Home(Path("/srv") / ("v" * 100)).sockets


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("password_needs = 'digit umlaut'", "auth.password_needs"),
        ("site_url = 'app.example.com'", "auth.site_url"),
        ("api_url = 'https://user@host'", "auth.api_url"),
        ("password_min_length = 1", "auth.password_min_length"),
        ("token_lasts = '10ms'", "auth.token_lasts"),
    ],
)
def test_a_setting_of_sign_in_that_cannot_work_is_named(home: Home, text: str, named: str) -> None:
    with pytest.raises(ConfigProblem, match=named):
        load(home, f"[auth]\n{text}\n")
