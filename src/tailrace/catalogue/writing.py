"""What changes the catalogue: each function is one transaction.

A change of state is a claim: an UPDATE that names the state it leaves. Of several claims at
once one finds the row; for the others there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from tailrace.blobs import BlobKey
from tailrace.catalogue import writing_jobs
from tailrace.catalogue.reading import HAS_NOT_ENDED, IS_GROWING, find_file
from tailrace.catalogue.records import (
    CredentialRecord,
    FileId,
    FileRecord,
    FileState,
    JobRecord,
    LinkRecord,
    Origin,
    UploadRecord,
)
from tailrace.catalogue.tables import credentials, files, links, row_of, uploads
from tailrace.errors import ConfigurationError, FileNotKnown

_ADD_FILE = insert(files)
_ADD_LINK = insert(links)
_ADD_UPLOAD = insert(uploads)
_ADD_CREDENTIAL = insert(credentials)


def add_file(
    connection: Connection,
    file: FileRecord,
    first_links: Sequence[LinkRecord],
    upload: UploadRecord | None = None,
    job: JobRecord | None = None,
) -> None:
    connection.execute(_ADD_FILE, row_of(files, file))
    for link in first_links:
        connection.execute(_ADD_LINK, row_of(links, link))
    if upload is not None:
        connection.execute(_ADD_UPLOAD, row_of(uploads, upload))
    if job is not None:
        writing_jobs.add_job(connection, job)


def add_link(connection: Connection, link: LinkRecord) -> None:
    _get_file(connection, link.file_id)
    connection.execute(_ADD_LINK, row_of(links, link))


def add_credential(connection: Connection, credential: CredentialRecord) -> None:
    try:
        connection.execute(_ADD_CREDENTIAL, row_of(credentials, credential))
    except IntegrityError as exc:
        raise ConfigurationError(
            f"there is a key of the name {credential.name!r}; choose another name"
        ) from exc


_EXTEND_UPLOAD = update(uploads).where(uploads.c.key_hash == bindparam("of_key_hash"))


def extend_upload(connection: Connection, key_hash: bytes, expires_at: datetime | None) -> None:
    connection.execute(_EXTEND_UPLOAD, {"of_key_hash": key_hash, "expires_at": expires_at})


# The values to set are given by the names of their columns when it is executed.
_CLAIM_GROWING = update(files).where(files.c.id == bindparam("file_id"), IS_GROWING)


_MOVE_LINKS = update(links).where(
    links.c.file_id == bindparam("of_file"), links.c.expires_at == bindparam("ended_with")
)


def promise_length(connection: Connection, file_id: FileId, complete_length: int) -> None:
    connection.execute(_CLAIM_GROWING, {"file_id": file_id, "complete_length": complete_length})


def describe_file(
    connection: Connection,
    file_id: FileId,
    *,
    name: str,
    media_type: str,
    complete_length: int | None,
) -> None:
    connection.execute(
        _CLAIM_GROWING,
        {
            "file_id": file_id,
            "name": name,
            "media_type": media_type,
            "complete_length": complete_length,
        },
    )


def seal_file(
    connection: Connection,
    file_id: FileId,
    *,
    length: int,
    sha256: bytes | None,
    sealed_at: datetime,
) -> FileRecord:
    file = _get_file(connection, file_id)
    expires_at = file.expires_at
    if expires_at is not None:
        expires_at += max(sealed_at - file.created_at, timedelta(0))
    claimed = connection.execute(
        _CLAIM_GROWING,
        {
            "file_id": file_id,
            "state": FileState.SEALED,
            "length": length,
            "complete_length": length,
            "sha256": sha256,
            "sealed_at": sealed_at,
            "expires_at": expires_at,
        },
    )
    if claimed.rowcount and expires_at != file.expires_at:
        connection.execute(
            _MOVE_LINKS,
            {"of_file": file_id, "ended_with": file.expires_at, "expires_at": expires_at},
        )
    if file.origin is Origin.JOB:
        writing_jobs.end_job(connection, file_id)
    return _get_file(connection, file_id)


def abandon_file(
    connection: Connection, file_id: FileId, *, reason: str, at: datetime
) -> FileRecord:
    connection.execute(
        _CLAIM_GROWING,
        {
            "file_id": file_id,
            "state": FileState.ABANDONED,
            "reason": reason,
            "abandoned_at": at,
        },
    )
    file = _get_file(connection, file_id)
    if file.origin is Origin.JOB:
        writing_jobs.end_job(connection, file_id)
    return file


def replace_blob(connection: Connection, file_id: FileId, blob: BlobKey) -> FileRecord:
    changes = {"file_id": file_id, "blob": blob, "complete_length": None}
    connection.execute(_CLAIM_GROWING, changes)
    return _get_file(connection, file_id)


_CLAIM_END = (
    update(files)
    .where(files.c.id == bindparam("file_id"), HAS_NOT_ENDED)
    # The reason of an abandoned file stays: why it failed says more than why it was cleared.
    .values(
        ended_at=bindparam("at"), reason=func.coalesce(files.c.reason, bindparam("because"))
    )
)


def end_file(
    connection: Connection, file_id: FileId, *, reason: str, at: datetime
) -> FileRecord:
    abandon_file(connection, file_id, reason=reason, at=at)
    connection.execute(_CLAIM_END, {"file_id": file_id, "at": at, "because": reason})
    return _get_file(connection, file_id)


def _get_file(connection: Connection, file_id: FileId) -> FileRecord:
    file = find_file(connection, file_id)
    if file is None:
        raise FileNotKnown(f"there is no file {file_id!r}")
    return file


# Links and uploads go with their file (ON DELETE CASCADE).
_FORGET_FILES = delete(files).where(
    files.c.id.in_(
        select(files.c.id)
        .where(files.c.ended_at < bindparam("ended_before"))
        .limit(bindparam("limit"))
    )
)


def forget_files(connection: Connection, ended_before: datetime, *, limit: int) -> int:
    parameters = {"ended_before": ended_before, "limit": limit}
    return connection.execute(_FORGET_FILES, parameters).rowcount
