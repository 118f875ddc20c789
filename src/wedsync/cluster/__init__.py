"""A cluster of ours: made, started, stopped, looked after."""

from wedsync.cluster.access import RECEIVER_ROLE
from wedsync.cluster.capabilities import Capability, Facts, capabilities, examine, home_capabilities
from wedsync.cluster.control import raised_for_recovery, read_control
from wedsync.cluster.datadir import ServerState
from wedsync.cluster.engine import Engine, find_engine
from wedsync.cluster.health import HomeFacts, examine_home
from wedsync.cluster.initialise import initialise_cluster
from wedsync.cluster.machine import Machine, measure_machine
from wedsync.cluster.ports import holder_of, is_free, next_free_port, require_free_port
from wedsync.cluster.roles import ensure_roles, prepare_database
from wedsync.cluster.secrets import Secrets, random_password, write_private
from wedsync.cluster.server import Server
from wedsync.cluster.serverlog import LogReader
from wedsync.cluster.settings import application_connections, max_connections, server_settings
from wedsync.cluster.supervised import supervised_server

__all__ = [
    "RECEIVER_ROLE",
    "Capability",
    "Engine",
    "Facts",
    "HomeFacts",
    "LogReader",
    "Machine",
    "Secrets",
    "Server",
    "ServerState",
    "application_connections",
    "capabilities",
    "ensure_roles",
    "examine",
    "examine_home",
    "find_engine",
    "holder_of",
    "home_capabilities",
    "initialise_cluster",
    "is_free",
    "max_connections",
    "measure_machine",
    "next_free_port",
    "prepare_database",
    "raised_for_recovery",
    "random_password",
    "read_control",
    "require_free_port",
    "server_settings",
    "supervised_server",
    "write_private",
]
