"""The one place that builds objects and starts services."""

from typing import TYPE_CHECKING

from wedsync.on_demand import names_on_demand

if TYPE_CHECKING:
    from wedsync.app.keys import Keys, new_sign_in_link, read_keys
    from wedsync.app.opening import check_flags, close_home, require_free_ports, setup_lock, write_first_config
    from wedsync.app.platform import Platform, this_environment
    from wedsync.app.problems import as_problem
    from wedsync.app.running import running_pid
    from wedsync.app.services import (
        last_words,
        run_gateway,
        run_keeper,
        run_supervisor,
        spawn_service,
        stop_everything,
        until_signalled,
        wait_for_service,
        what_runs,
    )
    from wedsync.app.setup import Preparation, prepare_adopted
    from wedsync.app.view import StatusReader
else:
    __getattr__ = names_on_demand(
        __name__,
        {
            "keys": (
                "Keys",
                "new_sign_in_link",
                "read_keys",
            ),
            "opening": (
                "check_flags",
                "close_home",
                "require_free_ports",
                "setup_lock",
                "write_first_config",
            ),
            "platform": (
                "Platform",
                "this_environment",
            ),
            "problems": ("as_problem",),
            "running": ("running_pid",),
            "services": (
                "last_words",
                "run_gateway",
                "run_keeper",
                "run_supervisor",
                "spawn_service",
                "stop_everything",
                "until_signalled",
                "wait_for_service",
                "what_runs",
            ),
            "setup": (
                "Preparation",
                "prepare_adopted",
            ),
            "view": ("StatusReader",),
        },
    )

__all__ = [
    "Keys",
    "Platform",
    "Preparation",
    "StatusReader",
    "as_problem",
    "check_flags",
    "close_home",
    "last_words",
    "new_sign_in_link",
    "prepare_adopted",
    "read_keys",
    "require_free_ports",
    "run_gateway",
    "run_keeper",
    "run_supervisor",
    "running_pid",
    "setup_lock",
    "spawn_service",
    "stop_everything",
    "this_environment",
    "until_signalled",
    "wait_for_service",
    "what_runs",
    "write_first_config",
]
