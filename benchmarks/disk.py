"""A slow disk: a control group that limits what its processes read from a device."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_UNIFIED = Path("/sys/fs/cgroup")
_BLKIO = _UNIFIED / "blkio"  # version 1


def reason_against_limits(directory: Path) -> str | None:
    """Return why reading from the device of a directory cannot be limited, if it cannot."""
    if os.geteuid() != 0:
        return "limiting a disk takes root"
    try:
        with limited(directory, 1_000_000):
            return None
    except OSError as exc:
        return f"no control group here can limit the device of {directory}: {exc}"


@contextlib.contextmanager
def limited(directory: Path, bytes_per_second: int) -> Iterator[tuple[str, ...]]:
    """Make a group in which the device of a directory is slow to read; give what to put before
    a command that is to run in it. All that ran in it must have ended on leaving.

    Raises:
        OSError: there are no such groups, or not for this device.
    """
    device = _disk_of(os.stat(directory).st_dev)
    is_first_version = (_BLKIO / "blkio.throttle.read_bps_device").exists()
    group = Path(
        tempfile.mkdtemp(prefix="slow-disk-", dir=_BLKIO if is_first_version else _UNIFIED)
    )
    try:
        if is_first_version:
            limit = group / "blkio.throttle.read_bps_device"
            limit.write_text(f"{device} {bytes_per_second}")
        else:
            (group / "io.max").write_text(f"{device} rbps={bytes_per_second}")
        entering = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        yield ("sh", "-c", entering, "sh")
    finally:
        group.rmdir()


def _disk_of(device: int) -> str:
    """Return the numbers of a device, or of the disk that it is a partition of."""
    numbers = f"{os.major(device)}:{os.minor(device)}"
    described = Path("/sys/dev/block") / numbers
    if (described / "partition").exists():
        return (described.resolve().parent / "dev").read_text().strip()
    return numbers
