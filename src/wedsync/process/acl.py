"""POSIX access control lists as Linux keeps them in `system.posix_acl_access` (acl(5), posix_acl_xattr.h).

Written here because a bare machine has neither setfacl nor a library for it.
"""

import errno
import os
import stat
import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Self

_ATTRIBUTE = "system.posix_acl_access"
_VERSION = 2
_HEADER = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_NO_ID = 0xFFFFFFFF
_SEARCH = 1


class Tag(IntEnum):
    """Whom an entry is about, in the order that the kernel demands."""

    USER_OBJ = 0x01
    USER = 0x02
    GROUP_OBJ = 0x04
    GROUP = 0x08
    MASK = 0x10
    OTHER = 0x20


_UNDER_MASK = (Tag.USER, Tag.GROUP_OBJ, Tag.GROUP)


@dataclass(frozen=True, slots=True)
class Acl:
    """One list: permissions (read 4, write 2, search 1) by tag and, for `USER` and `GROUP`, id."""

    entries: dict[tuple[Tag, int], int]

    @classmethod
    def of_mode(cls, mode: int) -> Self:
        """The list that says the same as permission bits."""
        return cls(
            {
                (Tag.USER_OBJ, _NO_ID): mode >> 6 & 7,
                (Tag.GROUP_OBJ, _NO_ID): mode >> 3 & 7,
                (Tag.OTHER, _NO_ID): mode & 7,
            }
        )

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """The list in the kernel's bytes."""
        return cls({(Tag(tag), who): perm for tag, perm, who in _ENTRY.iter_unpack(raw[_HEADER.size :])})

    def encode(self) -> bytes:
        """The kernel's bytes of this list."""
        return _HEADER.pack(_VERSION) + b"".join(
            _ENTRY.pack(tag, perm, who) for (tag, who), perm in sorted(self.entries.items())
        )

    @property
    def mask(self) -> int:
        """The most that named users and groups get; without one, everything they are given."""
        return self.entries.get((Tag.MASK, _NO_ID), 7)

    def effective(self, tag: Tag, who: int = _NO_ID) -> int:
        """What an entry really gives; 0 if there is none."""
        return self.entries.get((tag, who), 0) & (self.mask if tag in _UNDER_MASK else 7)

    def with_search(self, uid: int) -> "Acl":
        """This list with search permission for one more user, and no right of anybody else changed.

        The mask has to allow it. Where that widens the mask, the other entries lose what it hid so far.
        """
        entries = {key: self.effective(*key) for key in self.entries}
        entries[Tag.USER, uid] = entries.get((Tag.USER, uid), 0) | _SEARCH
        group_obj = entries[Tag.GROUP_OBJ, _NO_ID]
        entries[Tag.MASK, _NO_ID] = self.entries.get((Tag.MASK, _NO_ID), group_obj) | _SEARCH
        return Acl(entries)

    def without(self, uid: int) -> "Acl":
        """This list with no entry for the user; one that says no more than permission bits has no mask."""
        entries = {key: perm for key, perm in self.entries.items() if key != (Tag.USER, uid)}
        if not any(tag in (Tag.USER, Tag.GROUP) for tag, _ in entries):
            entries[Tag.GROUP_OBJ, _NO_ID] = Acl(entries).effective(Tag.GROUP_OBJ)
            entries.pop((Tag.MASK, _NO_ID), None)
        return Acl(entries)


def read_acl(path: Path) -> Acl:
    """The list of a file; made of its permission bits where it has none."""
    try:
        return Acl.decode(os.getxattr(path, _ATTRIBUTE))
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise
    return Acl.of_mode(stat.S_IMODE(path.stat().st_mode))


def write_acl(path: Path, acl: Acl) -> None:
    """Set the list of a file. `OSError` with `ENOTSUP` where the file system keeps none."""
    os.setxattr(path, _ATTRIBUTE, acl.encode())
