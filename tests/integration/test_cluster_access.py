"""Who gets into a cluster of ours, and how: sockets, TLS, passwords, roles."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import AsyncConnection

from support.clusters import ARCHIVE_NOWHERE, START, role_passwords
from support.events import eventually
from wedsync.cluster import Engine, Server, ensure_roles
from wedsync.cluster.certificates import ensure_certificates
from wedsync.config import Home
from wedsync.database import ConnectionTarget
from wedsync.errors import CannotConnect, ServerNotReady, SignInRefused
from wedsync.process import run

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # PostgreSQL manual, 55.2.11


def gateway(cluster: Server) -> ConnectionTarget:
    return cluster.tcp_target("wedsync_gateway", role_passwords(cluster.home)["wedsync_gateway"])


async def one_row(target: ConnectionTarget, statement: str) -> tuple[object, ...]:
    async with await target.connect() as connection:
        row = await (await connection.execute(statement.encode())).fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize("role", ["postgres", "wedsync_owner", "wedsync_monitor", "wedsync_backup"])
async def test_the_service_user_is_this_role_through_the_socket(cluster: Server, role: str) -> None:
    assert await one_row(cluster.target(role, "wedsync"), "select current_user::text") == (role,)


@pytest.mark.parametrize("role", ["wedsync_gateway", "anon", "nobody"])
async def test_the_socket_lets_no_other_role_in_without_a_password(cluster: Server, role: str) -> None:
    with pytest.raises(SignInRefused):
        await cluster.target(role, "wedsync").connect()


async def test_tcp_is_tls_1_3_with_a_password_and_a_verified_certificate(cluster: Server) -> None:
    row = await one_row(
        gateway(cluster), "select ssl, version, current_user::text from pg_stat_ssl where pid = pg_backend_pid()"
    )
    assert row == (True, "TLSv1.3", "wedsync_gateway")


async def test_tcp_without_tls_is_refused(cluster: Server) -> None:
    with pytest.raises(SignInRefused, match="refuses 'wedsync_gateway'") as caught:
        await replace(gateway(cluster), sslmode="disable").connect()
    assert "no encryption" in (caught.value.detail or "")


async def test_tls_1_2_is_refused(cluster: Server) -> None:
    def handshake(version: ssl.TLSVersion) -> str | None:
        context = ssl.create_default_context(cafile=str(cluster.home.ca_certificate))
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", cluster.config.cluster.port), timeout=10) as plain:
            plain.sendall(_SSL_REQUEST)
            assert plain.recv(1) == b"S"
            with context.wrap_socket(plain, server_hostname="localhost") as secured:
                return secured.version()

    assert await asyncio.to_thread(handshake, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        await asyncio.to_thread(handshake, ssl.TLSVersion.TLSv1_2)


async def test_a_client_that_trusts_another_authority_does_not_connect(cluster: Server, tmp_path: Path) -> None:
    other = await ensure_certificates(Home(tmp_path))
    with pytest.raises(CannotConnect) as caught:
        await replace(gateway(cluster), sslrootcert=str(other.ca)).connect()
    assert "certificate verify failed" in (caught.value.detail or "")


async def test_a_certificate_near_its_end_is_renewed_while_the_server_runs(own_cluster: Server) -> None:
    def served() -> bytes | None:
        context = ssl.create_default_context(cafile=str(own_cluster.home.ca_certificate))
        with socket.create_connection(("127.0.0.1", own_cluster.config.cluster.port), timeout=10) as plain:
            plain.sendall(_SSL_REQUEST)
            assert plain.recv(1) == b"S"
            with context.wrap_socket(plain, server_hostname="localhost") as secured:
                return secured.getpeercert(binary_form=True)

    assert not await own_cluster.renew_certificate()
    (own_cluster.home.tls / "server.crt").unlink()
    long_ago = datetime.now(UTC) - timedelta(days=340)
    await ensure_certificates(own_cluster.home, ["127.0.0.1"], now=long_ago)
    await own_cluster.reload()
    before = await asyncio.to_thread(served)
    async with await gateway(own_cluster).connect() as connection:
        assert await own_cluster.renew_certificate()
        await eventually(lambda: _differs(served, before))
        await connection.execute("select 1")


async def _differs(served: Callable[[], bytes | None], before: bytes | None) -> bool:
    return await asyncio.to_thread(served) != before


async def test_the_gateways_statements_have_an_end_whatever_its_client_says(cluster: Server) -> None:
    assert await one_row(gateway(cluster), "select current_setting('statement_timeout')") == ("30s",)


async def test_a_wrong_password_is_refused_and_not_repeated(cluster: Server) -> None:
    target = cluster.tcp_target("wedsync_gateway", "open-sesame")
    with pytest.raises(SignInRefused) as caught:
        await target.connect()
    assert "open-sesame" not in str(caught.value)


async def test_the_superuser_does_not_come_over_tcp(cluster: Server) -> None:
    with pytest.raises(SignInRefused) as caught:
        await cluster.tcp_target("postgres", "anything").connect()
    assert "rejects connection" in (caught.value.detail or "")


async def test_the_gateway_inherits_nothing_and_may_become_the_three(cluster: Server) -> None:
    async with await gateway(cluster).connect() as connection:
        for role in ("anon", "authenticated", "service_role"):
            await connection.execute(psycopg.sql.SQL("set role {}").format(psycopg.sql.Identifier(role)))
            await connection.execute("reset role")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("set role wedsync_owner")
        row = await (
            await connection.execute(
                "select pg_has_role('service_role', 'usage'), pg_has_role('service_role', 'member')"
            )
        ).fetchone()
    assert row == (False, True)


async def test_the_owner_owns_the_database_and_its_schemas_without_being_superuser(
    owner_connection: AsyncConnection,
) -> None:
    row = await (
        await owner_connection.execute(
            """
            select rolsuper, rolcreaterole, rolbypassrls,
                   (select array_agg(nspname::text order by nspname) from pg_namespace n
                     where n.nspowner = r.oid)
              from pg_roles r where rolname = current_user
            """
        )
    ).fetchone()
    assert row == (False, False, True, ["audit", "auth", "extensions", "ops"])
    await owner_connection.execute("create table public.mine (a int)")


async def test_the_owner_may_mark_a_moment_switch_wal_and_checkpoint(cluster: Server) -> None:
    async with await cluster.target("wedsync_owner", "wedsync").connect() as connection:
        await connection.execute("select pg_create_restore_point('before'), pg_switch_wal()")
        await connection.execute("checkpoint")


async def test_roles_are_put_right_again_and_passwords_changed_only_when_they_differ(
    own_cluster: Server,
) -> None:
    async def verifiers() -> list[tuple[object, ...]]:
        async with await own_cluster.target().connect() as connection:
            cursor = await connection.execute(
                "select rolname::text, rolpassword, rolbypassrls, rolconnlimit from pg_authid"
                " where rolname like 'wedsync_%' order by 1"
            )
            return await cursor.fetchall()

    before = await verifiers()
    async with await own_cluster.target(dbname="wedsync").connect() as connection:
        await connection.execute("alter role wedsync_gateway superuser connection limit 3")
        await connection.execute("alter role wedsync_backup nobypassrls")
        await connection.execute("drop schema audit")
    passwords = role_passwords(own_cluster.home)
    await asyncio.gather(
        *(ensure_roles(own_cluster.target(), config=own_cluster.config, passwords=passwords) for _ in range(2))
    )
    assert await verifiers() == before
    await ensure_roles(own_cluster.target(), config=own_cluster.config, passwords={"wedsync_gateway": "another"})
    assert await one_row(own_cluster.tcp_target("wedsync_gateway", "another"), "select 1") == (1,)
    with pytest.raises(SignInRefused):
        await gateway(own_cluster).connect()


async def test_pgbackrest_backs_up_with_the_rights_of_its_own_role(
    own_cluster: Server, engine: Engine, tmp_path: Path
) -> None:
    home, port = own_cluster.home, own_cluster.config.cluster.port
    home.pgbackrest_config.write_text(
        f"[global]\nrepo1-path={tmp_path}/repo\nlog-level-file=off\nlog-path={tmp_path}\n"
        f"lock-path={tmp_path}/lock\nspool-path={tmp_path}/spool\nstart-fast=y\n"
        f"[wedsync]\npg1-path={home.pgdata}\npg1-port={port}\npg1-socket-path={home.sockets}\n"
        f"pg1-user=wedsync_backup\npg1-database=wedsync\n"
    )
    words = [engine.pgbackrest, f"--config={home.pgbackrest_config}", "--stanza=wedsync"]
    await own_cluster.stop()
    push = f"{engine.pgbackrest} --config={home.pgbackrest_config} --stanza=wedsync archive-push %p"
    await own_cluster.start(archive_command=push, deadline=START)
    for command in ("stanza-create", "check", "backup"):
        finished = await run([*words, command], deadline=timedelta(minutes=2), env=engine.environment)
        finished.check()


async def test_a_server_that_starts_up_says_so(own_cluster: Server) -> None:
    await own_cluster.stop()
    with pytest.raises(CannotConnect) as caught:
        await own_cluster.target().connect()
    assert not isinstance(caught.value, ServerNotReady)
    (own_cluster.home.pgdata / "standby.signal").touch()
    task = asyncio.create_task(
        own_cluster.start(
            archive_command=ARCHIVE_NOWHERE,
            deadline=START,
            overrides={"hot_standby": "off", "restore_command": "/bin/false"},
        )
    )
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    await own_cluster.target().connect()
                except ServerNotReady:
                    break
                except CannotConnect:
                    await asyncio.sleep(0.02)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_the_log_keeps_no_values(own_cluster: Server) -> None:
    async with await own_cluster.target("wedsync_owner", "wedsync").connect() as connection:
        await connection.execute(
            "create table guests (name text primary key, check (name <> 'Alice ' || 'Secret'))"
        )
        for statement in (
            "insert into guests select %s from pg_sleep(1.01)",  # slow: logged
            "insert into guests values (%s)",  # a duplicate: "Key (name)=(...) already exists"
        ):
            for name in ("Bob Secret", "Alice Secret"):  # Alice: "Failing row contains (...)"
                with suppress(psycopg.IntegrityError):
                    await connection.execute(statement.encode(), (name,))

    def log() -> str:
        return "".join(path.read_text() for path in own_cluster.home.log.glob("postgresql*.log"))

    await eventually(lambda: "23514" in log())  # the last of them; the collector writes when it can
    logged = log()
    assert "insert into guests select $1 from pg_sleep" in logged
    assert "23505" in logged
    assert "Secret" not in logged.replace("'Alice ' || 'Secret'", "")
