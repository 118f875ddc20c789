"""Settings sized to the machine, and what the machine is measured to be."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.cluster import Machine, application_connections, max_connections, server_settings
from wedsync.cluster.control import raised_for_recovery
from wedsync.cluster.machine import _group_memory, _group_processors, _machine_memory
from wedsync.cluster.settings import as_conf, quoted, slot_room
from wedsync.config import Config

GB = 1 << 30


def machine(memory_bytes: int = 16 * GB, processors: int = 8) -> Machine:
    return Machine(memory_bytes=memory_bytes, processors=processors, lz4=True, zstd=True, llvm=True)


def megabytes(text: str) -> int:
    return int(text.removesuffix("MB"))


def test_a_16_gb_machine_with_8_processors() -> None:
    settings = server_settings(machine(), Config())
    sized = ("shared_buffers", "effective_cache_size", "work_mem", "maintenance_work_mem", "max_connections")
    assert [settings[name] for name in sized] == ["4096MB", "12288MB", "27MB", "1024MB", "150"]
    assert settings["max_parallel_workers_per_gather"] == "4"


@given(st.integers(min_value=256 << 20, max_value=4096 * GB), st.integers(min_value=1, max_value=512))
def test_memory_given_out_fits_into_the_memory_there_is(memory_bytes: int, processors: int) -> None:
    settings = server_settings(machine(memory_bytes, processors), Config())
    memory_mb = memory_bytes >> 20
    assert megabytes(settings["shared_buffers"]) <= memory_mb * 0.25
    assert megabytes(settings["shared_buffers"]) <= megabytes(settings["effective_cache_size"]) <= memory_mb
    assert 4 <= megabytes(settings["work_mem"]) <= 64
    assert int(settings["max_parallel_workers"]) <= int(settings["max_worker_processes"])


@given(st.integers(min_value=1, max_value=2000))
def test_the_applications_connections_leave_room_for_those_who_look_after_it(pool: int) -> None:
    config = msgspec.convert({"database": {"pool": {"max_size": pool}}}, Config)
    assert pool <= application_connections(config) <= max_connections(config) - 20


def test_what_the_platform_stands_on_is_set() -> None:
    settings = server_settings(machine(), Config())
    assert settings["wal_level"] == "logical"
    assert settings["archive_mode"] == "on"
    assert settings["archive_timeout"] == "60s"
    assert settings["ssl_min_protocol_version"] == "TLSv1.3"
    assert settings["log_parameter_max_length"] == settings["log_parameter_max_length_on_error"] == "0"


@pytest.mark.parametrize(
    ("lz4", "zstd", "compression"), [(True, True, "lz4"), (False, True, "zstd"), (False, False, "on")]
)
def test_wal_is_compressed_with_what_the_server_was_built_with(lz4: bool, zstd: bool, compression: str) -> None:
    built = Machine(memory_bytes=GB, processors=1, lz4=lz4, zstd=zstd, llvm=False)
    settings = server_settings(built, Config())
    assert settings["wal_compression"] == compression
    assert settings["jit"] == "off"


def test_the_configurations_own_settings_win() -> None:
    config = msgspec.convert({"cluster": {"settings": {"work_mem": "1GB", "jit": "off"}}}, Config)
    settings = server_settings(machine(), config)
    assert (settings["work_mem"], settings["jit"]) == ("1GB", "off")


@pytest.mark.parametrize(("disk_gb", "room"), [(1, "512MB"), (10, "2560MB"), (40, "10240MB"), (4000, "65536MB")])
def test_a_receiver_that_is_away_does_not_fill_the_disk(disk_gb: int, room: str) -> None:
    assert slot_room(disk_gb * GB) == room


def test_values_are_quoted_as_postgresql_reads_them() -> None:
    assert quoted("it's c:\\x") == "'it''s c:\\\\x'"
    assert as_conf({"b": "2", "a": "1"}) == "a = '1'\nb = '2'\n"
    with pytest.raises(ValueError, match="one line"):
        quoted("a\nfsync = off")


def _write(root: Path, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_the_smallest_limit_of_the_control_groups_counts(tmp_path: Path) -> None:
    _write(tmp_path, "proc/self/cgroup", "0::/system.slice/db.service\n")
    _write(tmp_path, "sys/fs/cgroup/system.slice/memory.max", str(2 * GB))
    _write(tmp_path, "sys/fs/cgroup/system.slice/db.service/memory.max", "max")
    _write(tmp_path, "sys/fs/cgroup/system.slice/db.service/cpu.max", "150000 100000")
    assert _group_memory(tmp_path) == 2 * GB
    assert _group_processors(tmp_path) == 2


def test_version_1_of_control_groups_is_read_too(tmp_path: Path) -> None:
    _write(tmp_path, "proc/self/cgroup", "5:memory:/box\n4:cpu,cpuacct:/box\n")
    _write(tmp_path, "sys/fs/cgroup/memory/box/memory.limit_in_bytes", str(GB))
    _write(tmp_path, "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "100000")
    _write(tmp_path, "sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000")
    assert _group_memory(tmp_path) == GB
    assert _group_processors(tmp_path) == 1


def test_a_kernel_without_control_groups_sets_no_limit(tmp_path: Path) -> None:
    _write(tmp_path, "proc/meminfo", "MemFree: 1 kB\nMemTotal:       24684000 kB\n")
    assert _group_memory(tmp_path) > 1 << 50
    assert _machine_memory(tmp_path) == 24684000 * 1024


def test_a_recovery_raises_only_what_is_lower_than_the_wal_needs() -> None:
    control = {
        "max_connections setting": "200",
        "max_worker_processes setting": "8",
        "max_prepared_xacts setting": "0",
        "Database cluster state": "in production",
    }
    settings = {"max_connections": "150", "max_worker_processes": "12", "max_prepared_transactions": "0"}
    assert raised_for_recovery(settings, control) == {"max_connections": "200"}
