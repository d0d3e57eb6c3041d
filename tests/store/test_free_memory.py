"""The memory that a process can still take, on made-up control groups of Linux."""

import psutil
import pytest

from cherenkov_pipeline.store.free_memory import free_memory

MACHINE = 1_000_000
UNIFIED = {
    "names": ("memory.max", "memory.current", "inactive_file"),
    "line": "0::{}\n",
    "top": "sys/fs/cgroup",
    "unlimited": "max",
}
LEGACY = {
    "names": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    "line": "7:cpu:/x\n4:memory,hugetlb:{}\n0::/\n",
    "top": "sys/fs/cgroup/memory",
    "unlimited": 2**63 - 4096,
}


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": MACHINE}))


@pytest.fixture(params=[UNIFIED, LEGACY], ids=["unified", "legacy"])
def group(request, tmp_path):
    """Put this process into a group; write groups."""
    limit_name, usage_name, cache_name = request.param["names"]

    def write(path, limit, usage, unused_cache):
        folder = tmp_path / request.param["top"] / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / limit_name).write_text(f"{limit}\n")
        (folder / usage_name).write_text(f"{usage}\n")
        (folder / "memory.stat").write_text(f"anon 12\n{cache_name} {unused_cache}\n")

    write.unlimited = request.param["unlimited"]
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(request.param["line"].format("/slurm/job_7"))
    return write


def test_a_job_has_what_its_group_allows(group, tmp_path):
    group("slurm/job_7", 5000, 3000, 400)
    assert free_memory(tmp_path) == 2400


def test_the_group_around_may_allow_less(group, tmp_path):
    group("slurm/job_7", 5000, 3000, 0)
    group("slurm", 9000, 8500, 0)
    assert free_memory(tmp_path) == 500


def test_a_group_above_its_limit_has_nothing_left(group, tmp_path):
    group("slurm/job_7", 5000, 6000, 0)
    assert free_memory(tmp_path) == 0


def test_without_a_limit_it_is_the_machine(group, tmp_path):
    group("slurm/job_7", group.unlimited, 3000, 0)
    assert free_memory(tmp_path) == MACHINE


def test_groups_that_a_container_does_not_show_do_not_count(group, tmp_path):
    group("", 700, 100, 0)
    assert free_memory(tmp_path) == 600


def test_elsewhere_than_on_linux_it_is_the_machine(tmp_path):
    assert free_memory(tmp_path) == MACHINE
