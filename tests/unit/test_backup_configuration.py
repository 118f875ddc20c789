"""pgBackRest's configuration file, made from ours."""

import subprocess
from pathlib import Path

import pytest

from wedsync.backup import ClusterAccess, render_config
from wedsync.backup.configuration import archive_command, restore_command
from wedsync.config import BackupConfig, Home, RepositoryConfig, RepositoryKind
from wedsync.errors import ConfigProblem

HOME = Home(Path("/home of/wedsync"))
SECRETS = {"s3-key-secret": "very secret", "azure-key": "other secret"}
S3 = {
    "s3-bucket": "weddings",
    "s3-endpoint": "s3.eu-central-1.example",
    "s3-region": "eu-central-1",
    "s3-key": "AKID",
    "s3-key-secret": "@s3-key-secret",
}


def rendered(repo2: RepositoryConfig | None = None, version: tuple[int, int] = (2, 45)) -> dict[str, str]:
    """The options of the configuration, with the section before commands' own ones."""
    text = render_config(
        BackupConfig(repo2=repo2),
        home=HOME,
        cluster=ClusterAccess(pgdata=HOME.pgdata, sockets=HOME.sockets, port=54329),
        version=version,
        keys={1: "key one", 2: "key two"},
        secret=SECRETS.__getitem__,
        processors=3,
    )
    options: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = "" if line == "[global]" else line.strip("[]") + " "
        elif "=" in line:
            name, _, value = line.partition("=")
            options[section + name] = value
    return options


def test_each_repository_is_encrypted_with_its_own_key() -> None:
    options = rendered(RepositoryConfig(path="repo2"))
    assert options["repo1-cipher-type"] == options["repo2-cipher-type"] == "aes-256-cbc"
    assert (options["repo1-cipher-pass"], options["repo2-cipher-pass"]) == ("key one", "key two")


def test_a_relative_path_is_below_the_home_and_an_absolute_one_stays() -> None:
    options = rendered(RepositoryConfig(path="/mnt/far"))
    assert options["repo1-path"] == "/home of/wedsync/repo1"
    assert options["repo2-path"] == "/mnt/far"


def test_nothing_is_written_outside_the_home() -> None:
    options = rendered()
    for name in ("spool-path", "lock-path", "log-path"):
        assert options[name].startswith("/home of/wedsync/")


def test_only_archiving_has_the_short_timeout_that_lets_one_repository_be_away() -> None:
    options = rendered()
    assert options["archive-async"] == "y"
    assert options["global:archive-push io-timeout"] == "5"
    assert "io-timeout" not in options
    assert options["global:backup archive-timeout"] == "180"


def test_pgbackrest_itself_expires_nothing() -> None:
    options = rendered(RepositoryConfig(path="repo2"))
    assert options["expire-auto"] == "n"
    assert int(options["repo1-retention-full"]) > 1_000_000
    assert int(options["repo2-retention-full"]) > 1_000_000


def test_block_incremental_is_used_where_it_exists() -> None:
    assert "repo1-block" not in rendered(version=(2, 45))
    assert rendered(version=(2, 46))["repo1-block"] == "y"


def test_a_bucket_gets_its_options_and_its_secret() -> None:
    options = rendered(RepositoryConfig(kind=RepositoryKind.S3, path="prefix", options=S3))
    assert options["repo2-type"] == "s3"
    assert options["repo2-path"] == "/prefix"
    assert options["repo2-s3-bucket"] == "weddings"
    assert options["repo2-s3-key-secret"] == "very secret"


def test_azure_and_gcs_are_rendered() -> None:
    azure = {"azure-account": "acc", "azure-container": "box", "azure-key": "@azure-key"}
    options = rendered(RepositoryConfig(kind=RepositoryKind.AZURE, path="/", options=azure))
    assert (options["repo2-type"], options["repo2-path"], options["repo2-azure-key"]) == (
        "azure",
        "/",
        "other secret",
    )
    gcs = {"gcs-bucket": "box", "gcs-key": "/etc/gcs.json"}
    assert rendered(RepositoryConfig(kind=RepositoryKind.GCS, path="x", options=gcs))["repo2-type"] == "gcs"


def test_a_pgbackrest_host_keeps_the_path_to_itself_and_shares_the_key() -> None:
    """The machine of the database encrypts what it sends there, and decrypts what comes back."""
    tls = {"host": "far", "host-ca-file": "/ca", "host-cert-file": "/cert", "host-key-file": "/key"}
    options = rendered(RepositoryConfig(kind=RepositoryKind.TLS, options=tls))
    assert options["repo2-host"] == "far"
    assert options["repo2-host-type"] == "tls"
    assert options["repo2-cipher-pass"] == "key two"
    assert not {"repo2-path", "repo2-type"} & options.keys()


SFTP = {
    "sftp-host": "far",
    "sftp-host-user": "me",
    "sftp-host-key-hash-type": "sha256",
    "sftp-private-key-file": "/key",
}


def test_sftp_needs_a_newer_engine() -> None:
    repo2 = RepositoryConfig(kind=RepositoryKind.SFTP, path="/r", options=SFTP)
    assert rendered(repo2, version=(2, 46))["repo2-sftp-host"] == "far"
    with pytest.raises(ConfigProblem, match=r"sftp, which pgBackRest 2\.45 does not know"):
        rendered(repo2)


@pytest.mark.parametrize(
    ("repo2", "words"),
    [
        (RepositoryConfig(path=""), r"repo2\.path is empty"),
        (RepositoryConfig(kind=RepositoryKind.S3, options={"s3-bucket": "b"}), "lacks s3-endpoint, s3-region"),
        (RepositoryConfig(kind=RepositoryKind.TLS), "lacks host, host-ca-file"),
        (
            RepositoryConfig(path="x", options={"s3-bucket": "b"}),
            "s3-bucket does not belong to a repository of kind posix",
        ),
        (
            RepositoryConfig(kind=RepositoryKind.S3, options=S3 | {"azure-key": "@azure-key"}),
            "azure-key does not belong",
        ),
        (
            RepositoryConfig(kind=RepositoryKind.S3, options=S3 | {"s3-key-secret": "in the open"}),
            "is a secret and must not stand in the configuration",
        ),
    ],
)
def test_a_repository_that_cannot_work_is_refused_by_the_name_of_its_setting(
    repo2: RepositoryConfig, words: str
) -> None:
    with pytest.raises(ConfigProblem, match=words) as caught:
        rendered(repo2)
    assert "in the open" not in str(caught.value)


def test_a_secret_with_a_line_break_does_not_become_another_option() -> None:
    with pytest.raises(ConfigProblem, match="holds a line break"):
        render_config(
            BackupConfig(repo2=None),
            home=HOME,
            cluster=ClusterAccess(pgdata=HOME.pgdata, sockets=HOME.sockets, port=1),
            version=(2, 45),
            keys={1: "key\nrepo1-path=/tmp"},
            secret=SECRETS.__getitem__,
            processors=1,
        )


def test_the_archive_command_survives_blanks_and_percent_signs() -> None:
    command = archive_command(
        Path("/usr/bin/pgbackrest"), config=Path("/a b/100%/c.conf"), stanza="wedsync", library_path="/l"
    )
    assert command == (
        "env LD_LIBRARY_PATH=/l /usr/bin/pgbackrest '--config=/a b/100%%/c.conf' --stanza=wedsync archive-push %p"
    )


def test_the_restore_command_fetches_synchronously_unless_told_otherwise() -> None:
    words = {"config": Path("/c"), "stanza": "s"}
    assert "--no-archive-async" in restore_command(Path("/p"), **words)  # type: ignore[arg-type]
    asynchronous = restore_command(Path("/p"), repo=2, asynchronous=True, **words)  # type: ignore[arg-type]
    assert "--repo=2 --archive-async" in asynchronous
    assert 'archive-get %f "%p"; ' in asynchronous


@pytest.mark.parametrize(("status", "told"), [(0, 0), (1, 1), (39, 126), (82, 126), (137, 126)])
def test_a_repository_that_fails_is_no_end_of_the_archive(tmp_path: Path, status: int, told: int) -> None:
    program = tmp_path / "pgbackrest"
    program.write_text(f"#!/bin/sh\nexit {status}\n")
    program.chmod(0o700)
    command = restore_command(program, config=Path("/c"), stanza="s", repo=1)
    filled = command.replace("%f", "000000010000000000000001").replace("%p", "pg_wal/RECOVERYXLOG")
    assert subprocess.run(["/bin/sh", "-c", filled], check=False).returncode == told


def test_a_file_of_an_option_is_below_the_home_and_a_secret_is_its_content() -> None:
    repo2 = RepositoryConfig(kind=RepositoryKind.S3, path="x", options=S3 | {"storage-ca-file": "tls/far.crt"})
    options = rendered(repo2)
    assert options["repo2-storage-ca-file"] == "/home of/wedsync/tls/far.crt"
    assert options["repo2-s3-key-secret"] == "very secret"


@pytest.mark.parametrize("kind", [RepositoryKind.S3, RepositoryKind.AZURE, RepositoryKind.GCS])
def test_the_certificate_of_a_store_is_always_verified(kind: RepositoryKind) -> None:
    given = {
        RepositoryKind.S3: S3,
        RepositoryKind.AZURE: {"azure-account": "a", "azure-container": "c", "azure-key": "@azure-key"},
        RepositoryKind.GCS: {"gcs-bucket": "g"},
    }[kind]
    with pytest.raises(ConfigProblem, match="storage-verify-tls") as caught:
        rendered(RepositoryConfig(kind=kind, path="x", options=given | {"storage-verify-tls": "n"}))
    assert "storage-ca-file" in str(caught.value.hint)
