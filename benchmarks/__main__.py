"""`python -m benchmarks`: run rows, print their tables, say what falls short."""

from __future__ import annotations

import argparse
import datetime
import resource
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import machine, report
from benchmarks.peers import NOFILE, PEERS
from benchmarks.rows import ROWS, Place
from benchmarks.running import Bench
from benchmarks.trials import FULL, QUICK

_MEMORY = Path("/dev/shm")
_ROOM = 5  # the source, what two servers keep, what is uploaded, what is touched before it


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        choices=[row.name for row in ROWS],
        metavar="ROW",
        help="run this row; may be repeated. Rows: " + ", ".join(row.name for row in ROWS),
    )
    parser.add_argument(
        "--peer",
        action="append",
        choices=[peer.name for peer in PEERS],
        metavar="PEER",
        help="have this peer take part; may be repeated. Peers: "
        + ", ".join(peer.name for peer in PEERS),
    )
    parser.add_argument("--rounds", type=int, help="in place of what each row asks for")
    parser.add_argument(
        "--quick", action="store_true", help="once and small: shows only that it works"
    )
    parser.add_argument(
        "--save",
        type=Path,
        metavar="DIRECTORY",
        help="keep the tables there, dated, and a chart",
    )
    arguments = parser.parse_args(words)
    scale = QUICK if arguments.quick else FULL
    if arguments.rounds is not None:
        scale = replace(scale, rounds=arguments.rounds)
    rows = [row for row in ROWS if arguments.only is None or row.name in arguments.only]
    peers = [peer for peer in PEERS if arguments.peer is None or peer.name in arguments.peer]
    if shutil.disk_usage(_MEMORY).free < scale.large_bytes * _ROOM:
        parser.error(f"{_MEMORY} has not enough room for {_ROOM} of the large files")
    _allow_open_files()
    described = machine.describe()
    if machine.is_busy():
        _say("other programs are running here: read processor times rather than rates")
    with (
        tempfile.TemporaryDirectory(dir=_MEMORY, prefix="tailrace-bench-") as memory,
        tempfile.TemporaryDirectory(prefix="tailrace-bench-") as scratch,
    ):
        roots = {Place.MEMORY: Path(memory), Place.DISK: Path(scratch)}
        programs = Path(scratch) / "programs"
        programs.mkdir()
        bench = Bench(roots, programs, scale, say=_say)
        measured = [bench.run(row, peers) for row in rows]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    text = report.markdown(f"Benchmarks, {today}", described, measured)
    if arguments.save is None:
        print(text)
    else:
        arguments.save.mkdir(exist_ok=True)
        (arguments.save / f"{today}.md").write_text(text)
        from benchmarks import chart  # which needs matplotlib

        chart.draw(arguments.save / "chart.png", measured)
        print(f"the tables are in {arguments.save / today}.md")
    for line in report.shortfalls(measured):
        print(f"falls short: {line}")
    return 0


def _allow_open_files() -> None:
    """Let this process, and the servers and clients it starts, have many connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(NOFILE, most), most))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
