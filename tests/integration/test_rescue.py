"""`up --rescue` before it restores anything; the whole of it is followed in `test_runbooks.py`."""

import socket
from pathlib import Path

from support.commands import PYTHON, SOURCE, WITHIN
from support.recoveries import Protected
from wedsync.app import gather_kit, seal_kit
from wedsync.process import run

_PASSPHRASE = "five words of no worth"


async def test_a_rescue_finds_what_is_in_its_way_before_it_restores(protected: Protected, tmp_path: Path) -> None:
    """A port that somebody has is said at once; a directory that was open to others is closed by then."""
    kit, passphrase, place = tmp_path / "kit.txt", tmp_path / "passphrase.txt", tmp_path / "found"
    kit.write_text(seal_kit(gather_kit(protected.home, at=protected.platform.clock.now()), _PASSPHRASE))
    passphrase.write_text(_PASSPHRASE + "\n")
    place.mkdir()
    place.chmod(0o755)
    gateway = protected.platform.config.gateway
    with socket.create_server((gateway.host, gateway.port)):
        ended = await run(
            [*PYTHON, "up", "--home", place, "--rescue", kit, "--passphrase-file", passphrase, "--detach"],
            deadline=WITHIN,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SOURCE), "HOME": str(tmp_path)},
        )
    assert ended.exit_status == 1
    assert f"port {gateway.port} is taken" in ended.stderr
    assert place.stat().st_mode & 0o777 == 0o700
    assert not (place / "pgdata").exists()
