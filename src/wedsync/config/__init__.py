"""One file plus the environment, read once, frozen; and where everything lies below the home."""

from wedsync.config.home import Home, default_home
from wedsync.config.load import LoadedConfig, Setting, format_value, load_config
from wedsync.config.model import (
    BackupConfig,
    CalendarConfig,
    ClusterConfig,
    Compression,
    Config,
    DatabaseConfig,
    Environment,
    GatewayConfig,
    LocaleProvider,
    MigrationsConfig,
    PoolConfig,
    Profile,
    RepositoryConfig,
    RepositoryKind,
    StatementTimeouts,
)

__all__ = [
    "BackupConfig",
    "CalendarConfig",
    "ClusterConfig",
    "Compression",
    "Config",
    "DatabaseConfig",
    "Environment",
    "GatewayConfig",
    "Home",
    "LoadedConfig",
    "LocaleProvider",
    "MigrationsConfig",
    "PoolConfig",
    "Profile",
    "RepositoryConfig",
    "RepositoryKind",
    "Setting",
    "StatementTimeouts",
    "default_home",
    "format_value",
    "load_config",
]
