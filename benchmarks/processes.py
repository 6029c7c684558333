"""What a server costs: a process and all that descend from it, by /proc."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.measures import MIB

_PROC = Path("/proc")


def family(pid: int) -> list[int]:
    """Return a process and its living descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for path in _PROC.glob("[0-9]*/stat"):
        fields = _read(path).rpartition(")")[2].split()  # a name may have spaces
        if fields:
            children[int(fields[1])].append(int(path.parent.name))
    found = [pid]
    for parent in found:
        found += children[parent]
    return found


def cpu_seconds(pids: list[int]) -> float:
    """Return the processor time that processes have used, by clocks of nanoseconds.

    What /proc/PID/stat tells is cut to hundredths of a second, which is too coarse here.
    """
    return sum(time.clock_gettime(_cpu_clock(pid)) for pid in pids)


def peak_rss_mib(pids: list[int]) -> float:
    """Return the sum of the most that each had in memory at any time."""
    return sum(_status(pid, "VmHWM") * 1024 for pid in pids) / MIB


def threads(pids: list[int]) -> int:
    return sum(_status(pid, "Threads") for pid in pids)


def _cpu_clock(pid: int) -> int:
    # clock_getcpuclockid(3) as the kernel's ABI has it: CPUCLOCK_SCHED of a process.
    return (~pid << 3) | 2


def _status(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", _read(_PROC / str(pid) / "status"), re.MULTILINE)
    return int(found[1]) if found else 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return ""
