"""The machine and the programs, in words."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

from benchmarks.peers import NGINX

_PACKAGES = ("uvicorn", "uvloop", "httptools", "starlette", "aiohttp", "granian")


def describe() -> str:
    """Return a paragraph that says on what is measured, and says no names of hosts."""
    processors = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    versions = ", ".join(
        [f"{platform.python_implementation()} {platform.python_version()}", *_versions()]
    )
    return (
        f"{processors} processors ({_processor()}), {memory:.0f} GiB of memory; {system},"
        f" kernel {platform.release().split('-')[0]}. {versions}. The load average was"
        f" {os.getloadavg()[0]:.1f} before it began."
    )


def is_busy() -> bool:
    """Return whether other programs will be seen in the figures."""
    return os.getloadavg()[0] > 0.5


def _versions() -> list[str]:
    found = []
    if NGINX.is_installed():
        told = subprocess.run([NGINX.program, "-v"], capture_output=True, text=True, check=True)
        found.append(f"nginx {told.stderr.strip().rpartition('/')[2]}")
    for package in _PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    told = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return told[1] if told else platform.machine()
