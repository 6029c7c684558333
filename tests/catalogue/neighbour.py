"""Another process at the same catalogue, as a worker of the service would be.

    python neighbour.py URL

It answers each line of standard input with one line: `add NAME` and `find NAME` of one
file, `fill NAME COUNT` of many, `end NAME`, which ends a file, `forget NAME`, which drops all
that have ended, `add-and-die NAME`, which kills itself once it was answered.
"""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta

from tailrace.blobs import BlobKey
from tailrace.catalogue import Catalogue, FileId, FileRecord, FileState, Origin
from tailrace.catalogue.sql import open_catalogue

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def a_file(name: str) -> FileRecord:
    return FileRecord(
        id=FileId(f"id-{name}"),
        name=name,
        media_type="text/csv",
        blob=BlobKey(f"blob{name}"),
        state=FileState.GROWING,
        length=None,
        complete_length=None,
        sha256=None,
        origin=Origin.UPLOAD,
        created_at=NOON,
        sealed_at=None,
        expires_at=None,
        ended_at=None,
        reason=None,
    )


async def obey(catalogue: Catalogue, command: str, name: str, *arguments: str) -> str:
    match command:
        case "add":
            await catalogue.add_file(a_file(name), [])
        case "find":
            file = await catalogue.find_file(FileId(f"id-{name}"))
            return "unknown" if file is None else file.state.value
        case "end":
            await catalogue.end_file(FileId(f"id-{name}"), reason="over there", at=NOON)
        case "forget":
            await catalogue.forget_files(NOON + timedelta(days=1), limit=10)
        case "fill":
            for number in range(int(arguments[0])):
                await catalogue.add_file(a_file(f"{name}{number}"), [])
        case "add-and-die":
            await catalogue.add_file(a_file(name), [])
            os.kill(os.getpid(), signal.SIGKILL)
    return "done"


async def main(url: str) -> None:
    catalogue = await open_catalogue(url, durability="crash")
    print("ready", flush=True)  # noqa: T201  the answers are for the test
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(await obey(catalogue, *line.split()), flush=True)  # noqa: T201
    await catalogue.close()


asyncio.run(main(sys.argv[1]))
