"""Load tests: the specification's mixes against a gateway over HTTP, by people of the demo season."""

from typing import TYPE_CHECKING

from wedsync.on_demand import names_on_demand

if TYPE_CHECKING:
    from wedsync.loadtest.judgement import Check
    from wedsync.loadtest.plan import Address, address_of, shaped
    from wedsync.loadtest.profiles import PROFILES, Profile
    from wedsync.loadtest.report import to_json, to_page
    from wedsync.loadtest.requests import Keys
    from wedsync.loadtest.run import Outcome, run_load_test

__all__ = [
    "PROFILES",
    "Address",
    "Check",
    "Keys",
    "Outcome",
    "Profile",
    "address_of",
    "run_load_test",
    "shaped",
    "to_json",
    "to_page",
]

__getattr__ = names_on_demand(
    __name__,
    {
        "judgement": ["Check"],
        "plan": ["Address", "address_of", "shaped"],
        "profiles": ["PROFILES", "Profile"],
        "report": ["to_json", "to_page"],
        "requests": ["Keys"],
        "run": ["Outcome", "run_load_test"],
    },
)
