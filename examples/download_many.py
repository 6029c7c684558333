"""Download many files at once, each whole and under a unique name, or not at all.

Replaces a loop over `requests.get(url, stream=True)` with its half files under final names,
and the code for retries, resuming and digests that should have been around it.

    python examples/download_many.py DIRECTORY URL...
"""

import asyncio
import sys

from tailrace import TailraceError, adownload

AT_ONCE = 4


async def download_many(directory: str, urls: list[str]) -> int:
    """Print a line for each URL; return how many failed."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def fetch(url: str) -> bool:
        async with turns:
            try:
                done = await adownload(url, directory, unique=True)
            except TailraceError as exc:
                sys.stderr.write(f"{url}: {exc}\n")
                return False
        sys.stdout.write(f"{done.path}\n")
        return True

    return (await asyncio.gather(*map(fetch, urls))).count(False)


if __name__ == "__main__":
    sys.exit(min(asyncio.run(download_many(sys.argv[1], sys.argv[2:])), 1))
