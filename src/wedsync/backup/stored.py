"""The files of a repository as they are, wherever it is: `repo-…` of pgBackRest, and a push to one repository."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

from wedsync.backup.explain import explain
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.report import read_error
from wedsync.cluster import write_private
from wedsync.errors import (
    BackupFailed,
    RepairImpossible,
    RepositoryUnreachable,
    StoredFileMissing,
    StoredFileUnreadable,
)
from wedsync.process import Finished, run, stream

_ANSWER = timedelta(minutes=5)
_PATIENCE = timedelta(minutes=2)
_MISSING = 55
_CANNOT_REMOVE = "'compress-level-network' is not valid for the current command"
"""What `repo-rm` of 2.45 says of a repository on a host over TLS."""
_UNREADABLE = (25, 29, 38, 95)
"""Assertion, format, file invalid, cryptography: it is there, and cannot be made sense of."""


class StoredFiles:
    """Lists, reads, puts and removes files of repositories."""

    def __init__(self, pgbackrest: PgBackRest, *, nice: int = 0) -> None:
        """Reading runs with this niceness."""
        self._pgbackrest = pgbackrest
        self._nice = nice

    async def listing(self, repo: int) -> str:
        """Everything in a repository, as `repo-ls --output=json` tells it."""
        finished = await self._run("repo-ls", "--recurse", "--output=json", repo=repo)
        return self._checked(finished, "repo-ls", repo).stdout

    async def text(self, repo: int, path: str) -> str:
        """A file of pgBackRest's own, decrypted.

        Raises `StoredFileMissing`, `StoredFileUnreadable`, and what says that the repository cannot be read.
        """
        finished = await self._run("repo-get", path, repo=repo)
        return self._checked(finished, "repo-get", repo, path).stdout

    async def raw(self, repo: int, path: str) -> AsyncIterator[bytes]:
        """A file's very bytes, piece by piece; raises as `text` does, at the latest behind the last piece."""
        words = self._pgbackrest.command_line("repo-get", "--raw", path, repo=repo)
        environment = self._pgbackrest.engine.environment
        async with stream(words, patience=_PATIENCE, env=environment, nice=self._nice) as running:
            async for piece in running.pieces():
                yield piece
            self._checked(await running.end(), "repo-get", repo, path)

    async def put(self, repo: int, path: str, content: bytes) -> None:
        """Write a file's very bytes, over what is there."""
        finished = await self._run("repo-put", "--raw", path, repo=repo, stdin=content)
        self._checked(finished, "repo-put", repo)

    async def remove(self, repo: int, path: str) -> None:
        """Remove a file. Whoever calls has a copy of it. Raises `RepairImpossible` where pgBackRest cannot."""
        finished = await self._run("repo-rm", path, repo=repo)
        if _CANNOT_REMOVE in finished.stderr + finished.stdout:
            raise RepairImpossible(
                f"pgBackRest cannot remove files of a backup host from here (repo{repo})",
                detail=f"on that host: pgbackrest --repo={repo} repo-rm {path}; then here: backup verify --repair",
            )
        self._checked(finished, "repo-rm", repo)

    async def push(self, segment: Path, *, repo: int, system_id: str) -> None:
        """Archive a WAL segment into one repository only. Its header is checked by pgBackRest too."""
        identity = await self._pgbackrest.identity(system_id)
        async with self._config_of(repo) as config:
            words = self._pgbackrest.command_line(
                "archive-push",
                "--no-archive-async",
                "--no-archive-mode-check",
                f"--pg1-path={identity}",
                str(segment),
                config=config,
            )
            finished = await run(words, deadline=_ANSWER, env=self._pgbackrest.engine.environment)
        self._checked(finished, "archive-push", repo)

    @asynccontextmanager
    async def _config_of(self, repo: int) -> AsyncGenerator[Path]:
        """A configuration that knows this repository only: `archive-push` of 2.45 takes no `--repo`."""
        path = self._pgbackrest.home.run / f"only-repo{repo}.conf"
        text = self._pgbackrest.config_text(only=repo)
        await asyncio.to_thread(write_private, path, text.encode(), replace=True)
        try:
            yield path
        finally:
            with suppress(FileNotFoundError):
                path.unlink()

    async def _run(self, command: str, *options: str, repo: int, stdin: bytes | None = None) -> Finished:
        return await run(
            self._pgbackrest.command_line(command, *options, repo=repo),
            deadline=_ANSWER,
            env=self._pgbackrest.engine.environment,
            stdin=stdin,
            nice=self._nice,
        )

    def _checked(self, finished: Finished, command: str, repo: int, path: str | None = None) -> Finished:
        if finished.exit_status == 0:
            return finished
        said = read_error(finished.stderr) or read_error(finished.stdout)
        if path is not None and said is not None and said.code == _MISSING:
            raise StoredFileMissing(f"repo{repo} has no {path}", detail=f"error {said.code}: {said.message}")
        if path is not None and said is not None and said.code in _UNREADABLE:
            raise StoredFileUnreadable(
                f"{path} in repo{repo} cannot be made sense of", detail=f"error {said.code}: {said.message}"
            )
        raise explain(
            finished,
            command,
            repo=repo,
            otherwise=BackupFailed if command == "archive-push" else RepositoryUnreachable,
        )
