"""Who may connect how: pg_hba.conf and pg_ident.conf of a cluster of ours."""

import pwd

SERVICE_ROLES = ("postgres", "wedsync_owner", "wedsync_monitor", "wedsync_backup")
"""Database roles that the operating system's user of the platform may be, through the socket."""
RECEIVER_ROLE = "wedsync_replication"
"""Receives WAL (docs/how-to/zero-loss.md), from this machine or another one."""
GATEWAY_ROLE = "wedsync_gateway"
_MAP = "wedsync"


def hba_file(*, in_recovery: bool = False, has_receiver: bool = False, tcp: bool = True) -> str:
    """The text of pg_hba.conf; without `tcp` that of a server which is reached by its socket only.

    The superuser comes through the socket only, as the service user. TCP needs TLS and a password;
    what is not named is refused. A server that is being taken back has the passwords of an earlier time: until
    they are put right, the gateway of this home is known by its operating-system user, too.
    """
    receiver = (RECEIVER_ROLE,) if has_receiver else ()
    roles = ",".join((*SERVICE_ROLES, *receiver, *((GATEWAY_ROLE,) if in_recovery else ())))
    replicating = ",".join(("postgres", "wedsync_backup", *receiver))
    far = f"hostssl  replication  {RECEIVER_ROLE}  all  scram-sha-256\n" if has_receiver else ""
    sockets = f"""\
# Written by wedsync at each start; changes are lost.
# type   database     role      address  method
local    all          {roles}  peer map={_MAP}
local    replication  {replicating}  peer map={_MAP}
local    all          all                scram-sha-256
"""
    over_tcp = f"""\
{far}hostssl  all          postgres  all      reject
hostssl  all          all       all      scram-sha-256
host     all          all       all      reject
"""
    return sockets + (over_tcp if tcp else "")


def ident_file(service_user: str) -> str:
    """The text of pg_ident.conf: which database roles the service user may be."""
    name = '"' + service_user.replace('"', '""') + '"'
    lines = "".join(f"{_MAP}  {name}  {role}\n" for role in (*SERVICE_ROLES, RECEIVER_ROLE, GATEWAY_ROLE))
    return f"# Written by wedsync at each start; changes are lost.\n# map  operating-system-user  role\n{lines}"


def user_name(uid: int) -> str:
    """The name of an operating system's user; its number where it has no name (containers)."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
