"""WAL that is on this machine besides `pg_wal`, for whoever repairs a repository."""

from collections.abc import Iterator

from wedsync.backup import LocalCopy, is_segment_name
from wedsync.cluster import Server
from wedsync.recovery.kept import Kept
from wedsync.zero_loss import received_segments


def copies_here(server: Server, system_id: str) -> Iterator[LocalCopy]:
    """What recoveries put aside, what was received, and second names of segments still written to."""
    for segment in Kept(root=server.home.kept).segments():
        yield LocalCopy(name=segment.name, path=segment.source, place="kept/")
    for received in received_segments(server.received, system_id=system_id):
        if not received.is_partial:
            yield LocalCopy(name=received.name, path=received.source, place="what was received")
    if server.home.sheltered.is_dir():
        for path in sorted(server.home.sheltered.iterdir()):
            if is_segment_name(path.name):
                yield LocalCopy(name=path.name, path=path, place="sheltered/", is_finished=False)
