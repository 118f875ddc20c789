"""One file plus the environment, read once, frozen; and where everything lies below the home."""

from wedsync.config.home import Home, default_home
from wedsync.config.load import LoadedConfig, Setting, format_value, load_config
from wedsync.config.model import (
    BackupConfig,
    ClusterConfig,
    Compression,
    Config,
    DatabaseConfig,
    Environment,
    GatewayConfig,
    LocaleProvider,
    PoolConfig,
    Profile,
    RepositoryConfig,
    RepositoryKind,
)

__all__ = [
    "BackupConfig",
    "ClusterConfig",
    "Compression",
    "Config",
    "DatabaseConfig",
    "Environment",
    "GatewayConfig",
    "Home",
    "LoadedConfig",
    "LocaleProvider",
    "PoolConfig",
    "Profile",
    "RepositoryConfig",
    "RepositoryKind",
    "Setting",
    "default_home",
    "format_value",
    "load_config",
]
