"""What a queue of jobs promises.

    submit ──► waiting ──claim──► held by a worker ──► its file is sealed or given up
                  ▲                   │      │
                  └─────put_back──────┘      └── no beat for too long: may be claimed

A job has no state of its own beside who holds it: it ends with its file. So it is cancelled
by the end of its file, which `beat` and `held` tell the worker. A queue never decides what
becomes of the bytes: whoever has claimed a job holds the writer of its blob as well, and of
two workers who both believe to have a job one cannot write.

Every method raises StorageUnavailable where the queue does not answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from tailrace.catalogue import FileId, FileRecord, JobRecord, LinkRecord


class Queue(Protocol):
    """The jobs of all workers, as one of the workers sees them."""

    worker: str
    """Who claims; no two workers have the same name."""

    async def submit(
        self, file: FileRecord, link: LinkRecord, job: JobRecord, *, is_claimed: bool
    ) -> None:
        """Make a file and its job known, at once; on return both survive a crash.

        One that is claimed from the start is this worker's first attempt.

        Raises:
            JobKnown: a job of its key is there already.
        """

    async def waiting(self) -> int:
        """Return how many jobs no worker holds."""

    async def due(
        self, producers: Collection[str], *, limit: int
    ) -> Sequence[tuple[FileRecord, JobRecord]]:
        """Return jobs of these producers that can be claimed, the longest due first."""

    async def claim(self, file_id: FileId) -> JobRecord | None:
        """Hold a job, which counts as an attempt; None where another was first."""

    async def beat(
        self, running: Collection[FileId], progress: Mapping[FileId, str]
    ) -> frozenset[FileId]:
        """Keep what this worker runs from being claimed by others; return what it holds.

        `progress` is kept for those who ask for it: a JSON object each.
        """

    async def held(self) -> frozenset[FileId]:
        """Return what this worker holds."""

    async def put_back(self, file_id: FileId, *, due_at: datetime, attempts: int) -> None:
        """Let others claim a job from a moment on; `attempts` is how many count."""

    async def find(self, file_id: FileId) -> JobRecord | None: ...
