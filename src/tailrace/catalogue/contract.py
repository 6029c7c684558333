"""What a catalogue promises.

Every method is one transaction: all of it is kept, or nothing. What was answered survives
`kill -9`; with the setting `durability="power"` also a power cut. Every method raises
StorageUnavailable if the database does not answer, and those that write raise StorageFull
if it has no room.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from tailrace.blobs import BlobKey
from tailrace.catalogue.records import (
    CredentialRecord,
    FileId,
    FileRecord,
    JobRecord,
    LinkRecord,
    UploadRecord,
)


class Catalogue(Protocol):
    """What is known of the bytes: files, links, uploads, jobs, credentials."""

    async def add_file(
        self,
        file: FileRecord,
        links: Sequence[LinkRecord],
        upload: UploadRecord | None = None,
        job: JobRecord | None = None,
    ) -> None:
        """Make a file known, with its first links and what writes it: an upload, a job.

        Raises:
            JobKnown: a file that was not given up, and has not ended, has the job's key.
        """

    async def find_file(self, file_id: FileId) -> FileRecord | None: ...

    async def list_files(
        self, *, limit: int, after: FileId | None = None
    ) -> Sequence[tuple[FileRecord, Sequence[LinkRecord]]]:
        """Return files that have not ended, newest first, each with its links.

        Those that are only to become parts of others are left out.

        `after` is the id of the last file of the page before; of an unknown id it is as
        if there were none older.
        """

    async def find_links(self, file_id: FileId) -> Sequence[LinkRecord]:
        """Return all links of a file, oldest first."""

    async def add_link(self, link: LinkRecord) -> None:
        """Make another link to a file known.

        Raises:
            FileNotKnown: there is no such file.
        """

    async def find_link(self, token_hash: bytes) -> tuple[LinkRecord, FileRecord] | None:
        """Return a link and its file. This is the hot look-up of every download."""

    def link_at_hand(self, token_hash: bytes) -> tuple[LinkRecord, FileRecord] | None:
        """Return a link and its file as they are now, if that is known without waiting.

        None may mean as well that there is no such link: then `find_link` tells.
        """

    async def find_upload(self, key_hash: bytes) -> tuple[UploadRecord, FileRecord] | None: ...

    async def extend_upload(self, key_hash: bytes, expires_at: datetime | None) -> None:
        """Move the moment at which an upload is given up; of an unknown one, do nothing."""

    async def promise_length(self, file_id: FileId, complete_length: int) -> None:
        """Note the length that the writer of a growing file now promises.

        Of a file that is no longer growing, or not known, nothing is changed.
        """

    async def describe_file(
        self, file_id: FileId, *, name: str, media_type: str, complete_length: int | None
    ) -> None:
        """Note what the writer of a growing file now says of it; else as `promise_length`."""

    async def seal_file(
        self, file_id: FileId, *, length: int, sha256: bytes | None, sealed_at: datetime
    ) -> FileRecord:
        """Turn a growing file into a sealed one and return it.

        The time for which it is kept begins with the seal: it, and the links that were to end
        with it, end as much later as it took from its beginning to its seal.

        Of a file that is no longer growing nothing is changed; the record as it stands is
        returned, so that a repeated call is harmless.

        Raises:
            FileNotKnown: there is no such file.
        """

    async def abandon_file(self, file_id: FileId, *, reason: str, at: datetime) -> FileRecord:
        """Turn a growing file into an abandoned one and return it; else as `seal_file`."""

    async def end_file(self, file_id: FileId, *, reason: str, at: datetime) -> FileRecord:
        """Note that a file has ended, and return it; a file that had ended stays as it is.

        A growing file becomes abandoned as well. A file that was abandoned before keeps the
        reason it was abandoned for.

        Raises:
            FileNotKnown: there is no such file.
        """

    async def replace_blob(self, file_id: FileId, blob: BlobKey) -> FileRecord:
        """Give a growing file another blob, of which nothing is known; else as `seal_file`."""

    async def find_job(self, file_id: FileId) -> JobRecord | None: ...

    async def due_jobs(
        self, now: datetime, *, producers: Collection[str], limit: int
    ) -> Sequence[tuple[FileRecord, JobRecord]]:
        """Return jobs of these producers that a worker may take, the longest due first."""

    async def waiting_jobs(self) -> int:
        """Return how many jobs no worker has."""

    async def unfinished_jobs(self) -> Sequence[JobRecord]:
        """Return the jobs of all growing files."""

    async def claim_job(
        self, file_id: FileId, worker: str, *, now: datetime, until: datetime
    ) -> JobRecord | None:
        """Give a job that is due to a worker, as one more attempt, and return it.

        Of several claims at once one succeeds; of a job that is not due, or whose file no
        longer grows, none does.
        """

    async def beat_jobs(
        self,
        worker: str,
        running: Collection[FileId],
        *,
        until: datetime,
        progress: Mapping[FileId, str],
    ) -> frozenset[FileId]:
        """Keep jobs that a worker has from being due before a moment; return what it has.

        Those whose file was ended meanwhile are not among them.
        """

    async def held_jobs(self, worker: str) -> frozenset[FileId]:
        """Return the jobs that a worker still has, as `beat_jobs`."""

    async def put_back_job(
        self, file_id: FileId, worker: str, *, due_at: datetime, attempts: int
    ) -> None:
        """Let go of a job that a worker has; of one that it has not, do nothing."""

    async def growing_files(self) -> Sequence[tuple[FileRecord, UploadRecord | None]]:
        """Return all files that are neither sealed nor abandoned, each with its upload."""

    async def expired_files(self, now: datetime, *, limit: int) -> Sequence[FileRecord]:
        """Return sealed and abandoned files that should have ended by now, oldest first."""

    async def known_blobs(self, keys: Sequence[str]) -> frozenset[str]:
        """Return those of the keys that belong to a file that has neither ended nor been
        abandoned."""

    async def recorded_blobs(self, keys: Sequence[str]) -> frozenset[str]:
        """Return those of the keys of which there is any record, also of an ended file."""

    async def forget_files(self, ended_before: datetime, *, limit: int) -> int:
        """Drop the records of files that ended before a moment, with their links and
        uploads; return how many."""

    async def add_credential(self, credential: CredentialRecord) -> None:
        """Keep a credential.

        Raises:
            ConfigurationError: the name is taken.
        """

    async def credentials(self) -> Sequence[CredentialRecord]: ...

    async def close(self) -> None:
        """Let go of the database; nothing may be called afterwards."""
