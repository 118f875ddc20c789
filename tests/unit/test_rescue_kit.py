"""The rescue kit: what is in it, who can open it, and what it does to a home."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from wedsync.app import RescueKit, compare_kit, gather_kit, seal_kit, unpack_kit, unseal_kit
from wedsync.config import Home
from wedsync.errors import RescueKitProblem

NOW = datetime(2026, 6, 14, 11, 5, tzinfo=UTC)
WORDS = "correct horse battery staple"


def make_home(root: Path) -> Home:
    home = Home(root)
    home.secrets.mkdir(parents=True)
    home.tls.mkdir()
    (home.secrets / "repo1_key").write_bytes(b"first")
    (home.secrets / "repo2_key").write_bytes(b"\x00\xff second")
    (home.secrets / ".repo3_key.17.new").write_bytes(b"a draft")
    (home.tls / "ca.crt").write_bytes(b"authority")
    home.config_file.write_text("[cluster]\nport = 54329\n")
    return home


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, str]:
    home = make_home(tmp_path_factory.mktemp("kit") / "home")
    return home, seal_kit(gather_kit(home, at=NOW), WORDS)


def test_a_kit_makes_the_home_again_byte_by_byte(sealed: tuple[Home, str], tmp_path: Path) -> None:
    home, text = sealed
    again = Home(tmp_path / "again")
    unpack_kit(unseal_kit(text, WORDS), again)
    assert again.config_file.read_bytes() == home.config_file.read_bytes()
    assert (again.secrets / "repo2_key").read_bytes() == b"\x00\xff second"
    assert (again.tls / "ca.crt").read_bytes() == b"authority"
    assert not list(again.secrets.glob(".*"))
    assert {path.stat().st_mode & 0o777 for path in again.secrets.iterdir()} == {0o600}


def test_a_kit_is_printable_and_says_nothing_of_its_content(sealed: tuple[Home, str]) -> None:
    _, text = sealed
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 72
    assert "second" not in text
    assert "54329" not in text


def test_blanks_and_words_around_a_kit_do_no_harm(sealed: tuple[Home, str]) -> None:
    _, text = sealed
    mailed = "Dear safe,\r\n\r\n" + text.replace("\n", "\r\n") + "\r\nyours\r\n"
    assert unseal_kit(mailed, WORDS).made_at == NOW


def test_another_passphrase_or_one_changed_character_opens_nothing(sealed: tuple[Home, str]) -> None:
    _, text = sealed
    with pytest.raises(RescueKitProblem, match="cannot be opened"):
        unseal_kit(text, WORDS + ".")
    lines = text.splitlines()
    changed = "B" if lines[3][0] != "B" else "C"
    with pytest.raises(RescueKitProblem, match="cannot be opened"):
        unseal_kit("\n".join([*lines[:3], changed + lines[3][1:], *lines[4:]]), WORDS)


def test_the_cost_in_the_first_line_is_authenticated_and_bounded(sealed: tuple[Home, str]) -> None:
    _, text = sealed
    with pytest.raises(RescueKitProblem, match="cannot be opened"):
        unseal_kit(text.replace("n=131072", "n=65536"), WORDS)
    with pytest.raises(RescueKitProblem, match="damaged"):
        unseal_kit(text.replace("n=131072", "n=1099511627776"), WORDS)


@pytest.mark.parametrize("text", ["", "repo1_key", "-----BEGIN WEDSYNC RESCUE KIT-----\nscrypt n=2 r=8 p=1\nAA"])
def test_what_is_no_kit_is_said_to_be_none(text: str) -> None:
    with pytest.raises(RescueKitProblem, match="no rescue kit"):
        unseal_kit(text, WORDS)


def test_a_short_passphrase_is_refused(sealed: tuple[Home, str]) -> None:
    home, _ = sealed
    with pytest.raises(RescueKitProblem, match="too short"):
        seal_kit(gather_kit(home, at=NOW), "elevenchars")


def test_a_home_with_other_keys_is_not_touched(sealed: tuple[Home, str], tmp_path: Path) -> None:
    _, text = sealed
    other = make_home(tmp_path / "other")
    (other.secrets / "repo1_key").write_bytes(b"of another home")
    with pytest.raises(RescueKitProblem, match="another home"):
        unpack_kit(unseal_kit(text, WORDS), other)
    assert (other.secrets / "repo1_key").read_bytes() == b"of another home"


def test_what_is_left_of_another_home_is_not_mixed_with_a_kit(sealed: tuple[Home, str], tmp_path: Path) -> None:
    _, text = sealed
    left = Home(tmp_path / "left")
    left.secrets.mkdir(parents=True)
    (left.secrets / "repo1_key").write_bytes(b"of another home")
    with pytest.raises(RescueKitProblem, match="another home"):
        unpack_kit(unseal_kit(text, WORDS), left)
    assert [path.name for path in left.secrets.iterdir()] == ["repo1_key"]
    assert not left.config_file.exists()


def test_an_unpacking_that_was_stopped_is_gone_on_with(sealed: tuple[Home, str], tmp_path: Path) -> None:
    home, text = sealed
    half = Home(tmp_path / "half")
    half.secrets.mkdir(parents=True)
    (half.secrets / "repo1_key").write_bytes(b"first")
    kit = unseal_kit(text, WORDS)
    unpack_kit(kit, half)
    unpack_kit(kit, half)
    assert compare_kit(kit, half).fits
    assert compare_kit(kit, home).fits


def test_what_changed_since_is_named(sealed: tuple[Home, str], tmp_path: Path) -> None:
    _, text = sealed
    home = Home(tmp_path / "home")
    kit: RescueKit = unseal_kit(text, WORDS)
    unpack_kit(kit, home)
    (home.secrets / "s3-key-secret").write_bytes(b"new")
    (home.secrets / "repo1_key").unlink()
    home.config_file.write_text("[cluster]\nport = 1\n")
    found = compare_kit(kit, home)
    assert found.missing == ("secrets/s3-key-secret",)
    assert found.changed == ("wedsync.toml",)
    assert found.gone == ("secrets/repo1_key",)
    assert not found.fits


def test_a_home_without_keys_has_no_kit(tmp_path: Path) -> None:
    with pytest.raises(RescueKitProblem, match="no repository keys"):
        gather_kit(Home(tmp_path), at=NOW)
