"""The one place that builds objects and starts services."""

from wedsync.app.keys import Keys, new_sign_in_link, read_keys
from wedsync.app.platform import Platform, this_environment
from wedsync.app.running import running_pid
from wedsync.app.services import (
    last_words,
    run_gateway,
    run_keeper,
    run_supervisor,
    spawn_service,
    stop_everything,
    until_signalled,
)
from wedsync.app.setup import Preparation, check_flags, require_gateway_port, write_first_config
from wedsync.app.view import StatusReader

__all__ = [
    "Keys",
    "Platform",
    "Preparation",
    "StatusReader",
    "check_flags",
    "last_words",
    "new_sign_in_link",
    "read_keys",
    "require_gateway_port",
    "run_gateway",
    "run_keeper",
    "run_supervisor",
    "running_pid",
    "spawn_service",
    "stop_everything",
    "this_environment",
    "until_signalled",
    "write_first_config",
]
