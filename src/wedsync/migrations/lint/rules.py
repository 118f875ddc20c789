"""Every rule of lint, ours and those of squawk that are followed."""

from types import MappingProxyType

from wedsync.migrations.lint import data, form, isolation, keys, policies, rights, squawk
from wedsync.migrations.lint.allow import ALLOW_RULES
from wedsync.migrations.lint.model import Rule

OWN_RULES: tuple[Rule, ...] = (
    *isolation.RULES,
    *policies.RULES,
    *keys.RULES,
    *rights.RULES,
    *data.RULES,
    *form.RULES,
)
RULES: tuple[Rule, ...] = (*OWN_RULES, *squawk.RULES, *ALLOW_RULES)
RULES_BY_NAME = MappingProxyType({rule.name: rule for rule in RULES})
