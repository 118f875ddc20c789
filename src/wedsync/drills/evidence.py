"""What a drill leaves: a JSON file, a page that needs nothing else, and a hash that tells whether they changed."""

import hashlib
import shutil
from importlib.resources import files
from pathlib import Path

import msgspec

from wedsync import __version__
from wedsync.cluster import write_private
from wedsync.drills.drill import BACK, Drill, Part
from wedsync.drills.shown import drill_json
from wedsync.errors import NotThere
from wedsync.words import duration_words, moment_words, size_words

JSON_NAME = "evidence.json"
PAGE_NAME = "report.html"
_WORDS = {
    Part.FIND: "find the backup and the way",
    Part.RESTORE: "restore the files",
    Part.REPLAY: "start and replay the log",
    Part.ONWARD: "go on from the recorded place to the moment",
    Part.CHECKS: "checks (not part of the time to recover)",
    Part.PROMOTE: "take writes",
}


def to_page(drill: Drill) -> str:
    """The page; everything in it is escaped."""
    from jinja2 import Environment  # noqa: PLC0415 - whoever only asks for the last proof does not need it

    template = (files("wedsync.drills") / "page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"moment": moment_words, "duration": duration_words, "size": size_words}
    slowest = max(drill.phases_s.values(), default=0.0) or 1.0
    phases = [
        (_WORDS[part], drill.phases_s[part], drill.phases_s[part] / slowest, part in BACK)
        for part in Part
        if part in drill.phases_s
    ]
    return environment.from_string(template).render(drill=drill, phases=phases, version=__version__)


def write_evidence(root: Path, drill: Drill) -> str:
    """Write both files below `root`; gives the SHA-256 of the JSON, in which that of the page is."""
    directory = root / drill.id
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    page = to_page(drill).encode()
    content = {**drill_json(drill), "report_sha256": hashlib.sha256(page).hexdigest()}
    encoded = msgspec.json.format(msgspec.json.encode(content), indent=2)
    write_private(directory / PAGE_NAME, page, replace=True)
    write_private(directory / JSON_NAME, encoded, replace=True)
    return hashlib.sha256(encoded).hexdigest()


def read_evidence(root: Path, drill: str, *, sha256: str | None) -> tuple[bytes, bytes, bool]:
    """Evidence and page of a drill, and whether both are as they were written. Raises `NotThere`."""
    try:
        encoded = (root / drill / JSON_NAME).read_bytes()
        page = (root / drill / PAGE_NAME).read_bytes()
    except FileNotFoundError as error:
        raise NotThere(
            f"there is no evidence of drill {drill}",
            detail=None if sha256 is None else "it was written, and somebody removed it",
            hint="evidence is kept for drills.keep_evidence",
        ) from error
    try:
        of_page = msgspec.json.decode(encoded).get("report_sha256")
    except (msgspec.DecodeError, AttributeError):
        of_page = None
    whole = hashlib.sha256(encoded).hexdigest() == sha256 and hashlib.sha256(page).hexdigest() == of_page
    return encoded, page, whole


def remove_evidence(root: Path, drill: str) -> None:
    """Remove the evidence of a drill; harmless when it is gone."""
    shutil.rmtree(root / drill, ignore_errors=True)


def file_names(root: Path, drill: str) -> tuple[Path, Path]:
    """Where evidence and page of a drill are."""
    return root / drill / JSON_NAME, root / drill / PAGE_NAME
