"""How much memory the service and its client take for a large file."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks import processes
from benchmarks.measures import Figures, Measure
from benchmarks.peers import LINK
from benchmarks.rows.row import Processors, Row, Target
from benchmarks.servers import ServerFailed
from benchmarks.trials import LARGE, Trial, prepare

_TAILRACE = Path(sys.executable).with_name("tailrace")
_LIMIT_MIB = 80

_SERVE = Measure("tailrace serve, peak RSS MiB", 1)
_PUT = Measure("tailrace put, MiB", 1)
_GET = Measure("tailrace get, MiB", 1)
_FOLLOW = Measure("tailrace get of a growing file, MiB", 1)


def _move(trial: Trial) -> Figures:
    server = trial.server
    length = trial.scale.large_bytes
    source = trial.root / LARGE
    target = trial.root / "got.bin"
    prepare(source, length)
    address = f"http://127.0.0.1:{server.port}"
    put_mib, link = _peak_mib("put", str(source), "--to", address)
    get_mib, _ = _peak_mib("get", link, "-o", str(target))
    target.unlink()
    server.forget_uploads()
    with trial.sinks.started(
        "put",
        port=server.port,
        target=server.put_target("followed.bin"),
        source=source,
        length=length,
        rate=length / trial.scale.seconds,
    ) as writer:
        writer.line()
        follow_mib, _ = _peak_mib("get", address + server.link_of_upload(), "-o", str(target))
        writer.finish()
    target.unlink()
    server.forget_uploads()
    return {
        _SERVE: server.peak_rss_mib(),
        _PUT: put_mib,
        _GET: get_mib,
        _FOLLOW: follow_mib,
    }


def _peak_mib(*words: str) -> tuple[float, str]:
    """Run a command of ours; return the most it had in memory, and the line it printed."""
    with subprocess.Popen([_TAILRACE, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        most = 0.0
        # What wait4 tells would include the peak of this process, which it was forked from.
        while process.poll() is None:
            most = max(most, processes.peak_rss_mib([process.pid]))
            time.sleep(0.01)
        output = process.stdout.read().strip()
    if process.returncode != 0:
        raise ServerFailed(f"tailrace {words[0]} ended with status {process.returncode}")
    return most, output


ROWS = (
    Row(
        name="memory",
        title="Memory, for a file of 1 GiB",
        how="The same for any length. The same service does all of it in turn.",
        peers=(LINK,),
        measure=_move,
        targets=tuple(
            Target(measure, LINK, at_most=_LIMIT_MIB)
            for measure in (_SERVE, _PUT, _GET, _FOLLOW)
        ),
        rounds=1,
        processors=Processors.SHARED,
    ),
)
