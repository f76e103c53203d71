"""How much memory there is: of the machine, or what a container or a job may have."""

from pathlib import Path

import pytest

from evinr import memory

MACHINE = memory.there(Path("/nowhere"))


def limited(system: Path, groups: str, **limits: str) -> int | None:
    """What there is where /proc/self/cgroup says this, and files of /sys/fs/cgroup that."""
    (system / "proc/self").mkdir(parents=True)
    (system / "proc/self/cgroup").write_text(groups)
    for path, limit in limits.items():
        file = system / "sys/fs/cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{limit}\n")
    return memory.there(system)


@pytest.mark.parametrize(
    ("groups", "limits", "there"),
    [
        ("0::/slurm/job7/task0\n", {"slurm/memory.max": "8000", "slurm/job7/memory.max": "4096"}, 4096),
        ("0::/slurm/job7\n", {"slurm/memory.max": "2048", "slurm/job7/memory.max": "4096"}, 2048),
        ("0::/\n", {"memory.max": "max"}, MACHINE),
        ("0::/seen/from/outside\n", {"memory.max": "4096"}, 4096),
        ("5:cpu,cpuacct:/a\n4:memory:/job\n0::/\n", {"memory/job/memory.limit_in_bytes": "4096"}, 4096),
        ("4:memory:/job\n", {"memory/job/memory.limit_in_bytes": "9223372036854771712"}, MACHINE),
        ("3:cpu:/job\n", {"cpu/job/memory.max": "4096"}, MACHINE),
    ],
)
def test_control_groups_limit_it(groups: str, limits: dict[str, str], there: int | None, tmp_path: Path):
    assert limited(tmp_path, groups, **limits) == there
