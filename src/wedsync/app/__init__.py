"""The one place that builds objects and starts services."""

from typing import TYPE_CHECKING

from wedsync.on_demand import names_on_demand

if TYPE_CHECKING:
    from wedsync.app.background import do_run
    from wedsync.app.backups import expire_backups, hold_backup, list_backups, take_backups
    from wedsync.app.copies import (
        Preview,
        find_preview,
        list_previews,
        make_preview,
        move_preview,
        preview_target,
        remove_preview,
    )
    from wedsync.app.differences import Wanted, difference_at, difference_of
    from wedsync.app.drills import (
        drill_evidence,
        drill_order,
        evidence_state,
        find_drill,
        list_drills,
        run_drill,
        stops_on_sigterm,
    )
    from wedsync.app.keys import Keys, new_sign_in_link, read_keys
    from wedsync.app.opening import check_flags, close_home, require_free_ports, setup_lock, write_first_config
    from wedsync.app.platform import Platform, this_environment
    from wedsync.app.problems import as_problem
    from wedsync.app.receiving import receive_wal
    from wedsync.app.recoveries import carry_out, plan_recovery, plan_undo, recovery_window
    from wedsync.app.regions import check_locks, undelete_region
    from wedsync.app.rescue_kit import (
        KitDifference,
        RescueKit,
        compare_kit,
        gather_kit,
        put_back_secrets,
        seal_kit,
        unpack_kit,
        unseal_kit,
    )
    from wedsync.app.rows import (
        RowChoice,
        RowRequest,
        RowsAnswer,
        UndoRequest,
        bring_back,
        list_row_recoveries,
        plan_rows,
        plan_undo_of_rows,
        read_choices,
        undo_rows,
    )
    from wedsync.app.running import configuration_changed_at, running_pid
    from wedsync.app.services import (
        last_words,
        run_gateway,
        run_keeper,
        run_receiver,
        run_supervisor,
        spawn_service,
        stop_everything,
        until_signalled,
        wait_for_service,
        what_runs,
    )
    from wedsync.app.setup import Preparation, prepare_adopted
    from wedsync.app.timeline import read_timeline
    from wedsync.app.verifications import verification_status, verify_backups
    from wedsync.app.view import StatusReader
    from wedsync.app.waking import wake_preview
else:
    __getattr__ = names_on_demand(
        __name__,
        {
            "background": ("do_run",),
            "backups": (
                "expire_backups",
                "hold_backup",
                "list_backups",
                "take_backups",
            ),
            "drills": (
                "drill_evidence",
                "drill_order",
                "evidence_state",
                "find_drill",
                "list_drills",
                "run_drill",
                "stops_on_sigterm",
            ),
            "differences": (
                "Wanted",
                "difference_at",
                "difference_of",
            ),
            "copies": (
                "Preview",
                "find_preview",
                "list_previews",
                "make_preview",
                "move_preview",
                "preview_target",
                "remove_preview",
            ),
            "waking": ("wake_preview",),
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
            "verifications": ("verification_status", "verify_backups"),
            "platform": (
                "Platform",
                "this_environment",
            ),
            "problems": ("as_problem",),
            "receiving": ("receive_wal",),
            "recoveries": (
                "carry_out",
                "plan_recovery",
                "plan_undo",
                "recovery_window",
            ),
            "regions": ("check_locks", "undelete_region"),
            "rescue_kit": (
                "KitDifference",
                "RescueKit",
                "compare_kit",
                "gather_kit",
                "put_back_secrets",
                "seal_kit",
                "unpack_kit",
                "unseal_kit",
            ),
            "rows": (
                "RowChoice",
                "RowRequest",
                "RowsAnswer",
                "UndoRequest",
                "bring_back",
                "list_row_recoveries",
                "plan_rows",
                "plan_undo_of_rows",
                "read_choices",
                "undo_rows",
            ),
            "running": ("configuration_changed_at", "running_pid"),
            "services": (
                "last_words",
                "run_gateway",
                "run_keeper",
                "run_receiver",
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
            "timeline": ("read_timeline",),
            "view": ("StatusReader",),
        },
    )

__all__ = [
    "Keys",
    "KitDifference",
    "Platform",
    "Preparation",
    "Preview",
    "RescueKit",
    "RowChoice",
    "RowRequest",
    "RowsAnswer",
    "StatusReader",
    "UndoRequest",
    "Wanted",
    "as_problem",
    "bring_back",
    "carry_out",
    "check_flags",
    "check_locks",
    "close_home",
    "compare_kit",
    "configuration_changed_at",
    "difference_at",
    "difference_of",
    "do_run",
    "drill_evidence",
    "drill_order",
    "evidence_state",
    "expire_backups",
    "find_drill",
    "find_preview",
    "gather_kit",
    "hold_backup",
    "last_words",
    "list_backups",
    "list_drills",
    "list_previews",
    "list_row_recoveries",
    "make_preview",
    "move_preview",
    "new_sign_in_link",
    "plan_recovery",
    "plan_rows",
    "plan_undo",
    "plan_undo_of_rows",
    "prepare_adopted",
    "preview_target",
    "put_back_secrets",
    "read_choices",
    "read_keys",
    "read_timeline",
    "receive_wal",
    "recovery_window",
    "remove_preview",
    "require_free_ports",
    "run_drill",
    "run_gateway",
    "run_keeper",
    "run_receiver",
    "run_supervisor",
    "running_pid",
    "seal_kit",
    "setup_lock",
    "spawn_service",
    "stop_everything",
    "stops_on_sigterm",
    "take_backups",
    "this_environment",
    "undelete_region",
    "undo_rows",
    "unpack_kit",
    "unseal_kit",
    "until_signalled",
    "verification_status",
    "verify_backups",
    "wait_for_service",
    "wake_preview",
    "what_runs",
    "write_first_config",
]
