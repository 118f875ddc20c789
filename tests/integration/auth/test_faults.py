"""Connections that die, a mail server that takes its time, a database without the tables."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.message import EmailMessage

import pytest

from support.clusters import role_passwords
from support.databases import fresh_database
from support.ports import free_port
from support.sign_in import QUIET, Desk, Place, code_of, desk
from wedsync.api.auth import SmtpPost
from wedsync.cluster import Server
from wedsync.config import MailConfig, MailSecurity
from wedsync.errors import LetterNotSent

REFRESH = "/token?grant_type=refresh_token"


async def cut(at: Desk) -> None:
    """End the gateway's connections to this database, whatever they are doing."""
    async with await replace(at.place.owner, user="postgres").connect() as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'wedsync_gateway' and datname = current_database()"
        )


async def test_whoever_asks_again_after_a_lost_answer_stays_signed_in(at: Desk) -> None:
    """Connections die at any moment of a rotation, before or after its commit."""
    session = await at.member()
    token = session["refresh_token"]
    rotations = lost = 0
    ended = asyncio.Event()

    async def cut_again_and_again() -> None:
        for _ in range(12):
            await cut(at)
        ended.set()

    cutting = asyncio.create_task(cut_again_and_again())
    while not ended.is_set() or rotations < 10:
        answer = await at.call("POST", REFRESH, refresh_token=token)
        if answer.status_code == 200:
            token = answer.json()["refresh_token"]
            rotations += 1
        else:
            assert answer.status_code == 503, answer.text
            lost += 1
        assert rotations + lost < 5000
    await cutting
    assert rotations >= 10
    user = session["user"]["id"]
    assert await at.ask("select count(*) from auth.sessions where user_id = %s", user) == 1


async def test_a_database_without_the_tables_is_said_to_be_one(cluster: Server) -> None:
    async with fresh_database(cluster) as target:
        async with await target.connect() as connection:
            await connection.execute("grant usage on schema auth to service_role")
        place = Place(owner=target, password=role_passwords(cluster.home)["wedsync_gateway"])
        async with desk(place, config=QUIET) as at:
            assert (await at.call("GET", "/health")).status_code == 503
            assert code_of(await at.call("POST", "/recover", email="ada@example.com")) == "unexpected_failure"


# Mail ------------------------------------------------------------------------------------------------


@dataclass
class MailServer:
    """As much of RFC 5321 as a client needs."""

    port: int
    refuses: bool = False
    hangs: bool = False
    taken: list[bytes] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.hangs:
            await reader.read()
            return
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            match line.split()[0].upper():
                case b"EHLO":
                    writer.write(b"250 here\r\n")
                case b"RCPT" if self.refuses:
                    writer.write(b"450 not now\r\n")
                case b"DATA":
                    writer.write(b"354 go on\r\n")
                    self.taken.append(await reader.readuntil(b"\r\n.\r\n"))
                    writer.write(b"250 taken\r\n")
                case b"QUIT":
                    writer.write(b"221 bye\r\n")
                    return
                case _:
                    writer.write(b"250 well\r\n")


@asynccontextmanager
async def mail_server(**behaviour: bool) -> AsyncIterator[MailServer]:
    made = MailServer(free_port(), **behaviour)
    server = await asyncio.start_server(made.talk, "127.0.0.1", made.port)
    try:
        yield made
    finally:
        server.close()


def post_to(port: int) -> SmtpPost:
    deadline = timedelta(milliseconds=500)
    config = MailConfig(
        host="127.0.0.1", port=port, security=MailSecurity.NONE, sender="W <w@x.org>", deadline=deadline
    )
    return SmtpPost(config, None)


def a_letter() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "W <w@x.org>", "ada@example.com", "Your code"
    message.set_content("Code: 123456\n.\nend")
    return message


async def test_a_mail_server_gets_the_letter() -> None:
    async with mail_server() as server:
        await post_to(server.port).send(a_letter(), identity="1")
    assert len(server.taken) == 1
    assert b"To: ada@example.com" in server.taken[0]
    assert b"Code: 123456" in server.taken[0]


@pytest.mark.parametrize("behaviour", ["refuses", "hangs"])
async def test_a_mail_server_that_does_not_take_it_is_named(behaviour: str) -> None:
    async with mail_server(**{behaviour: True}) as server:
        with pytest.raises(LetterNotSent, match="did not take a letter"):
            await post_to(server.port).send(a_letter(), identity="1")
    assert server.taken == []


async def test_a_mail_server_that_is_not_there_is_named() -> None:
    with pytest.raises(LetterNotSent):
        await post_to(free_port()).send(a_letter(), identity="1")
