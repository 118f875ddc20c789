"""Where letters go: to a mail server, or into files while there is none."""

import asyncio
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Protocol

import aiosmtplib

from wedsync.config import MailConfig, MailSecurity
from wedsync.errors import LetterNotSent


class Post(Protocol):
    """Takes a letter, or says why not."""

    async def send(self, letter: EmailMessage, *, identity: str) -> None:
        """Raises `LetterNotSent`; `LetterRefused` where trying again is of no use."""
        ...


class FilePost:
    """One file a letter, for development."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def send(self, letter: EmailMessage, *, identity: str) -> None:
        try:
            await asyncio.to_thread(self._write, bytes(letter), identity)
        except OSError as error:
            raise LetterNotSent("a letter could not be written", detail=str(error)) from error

    def _write(self, content: bytes, identity: str) -> None:
        """Whole or not at all, as whoever looks into the directory sees it."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._directory / f".{identity}.new"
        draft.write_bytes(content)
        draft.chmod(0o600)
        draft.replace(self._directory / f"{identity}.eml")


class SmtpPost:
    """A mail server, a connection a letter: sign-in sends few, and a kept one would have died meanwhile.

    aiosmtplib rather than smtplib in a thread: a thread that waits for a server cannot be cancelled.
    """

    def __init__(self, config: MailConfig, password: str | None) -> None:
        self._config = config
        self._password = password

    async def send(self, letter: EmailMessage, *, identity: str) -> None:  # noqa: ARG002 - the file's name elsewhere
        config = self._config
        try:
            async with asyncio.timeout(config.deadline.total_seconds()):
                await aiosmtplib.send(
                    letter,
                    sender=parseaddr(config.sender)[1],
                    hostname=config.host,
                    port=config.port,
                    username=config.user,
                    password=self._password,
                    use_tls=config.security is MailSecurity.TLS,
                    start_tls=config.security is MailSecurity.STARTTLS,
                )
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise LetterNotSent(
                f"the mail server {config.host} did not take a letter",
                detail=f"{type(error).__name__}: {error}",
                hint="see auth.mail in the configuration; it is tried again",
            ) from error
