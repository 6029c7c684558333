"""What the catalogue is asked: each question one statement, or one for each batch of keys.

The statements are made once, so that SQLAlchemy finds their SQL again by identity.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, exists, literal_column, select, tuple_

from tailrace.catalogue.records import (
    CredentialRecord,
    FileId,
    FileRecord,
    FileState,
    LinkRecord,
    UploadRecord,
)
from tailrace.catalogue.tables import credentials, files, links, uploads

# Written into the SQL, where a planner sees before it knows any value that the partial
# index of the growing files fits.
IS_GROWING = files.c.state == literal_column(f"'{FileState.GROWING.value}'")
HAS_NOT_ENDED = files.c.ended_at.is_(None)

# SQLite before 3.32 takes 999 values in a statement.
_BATCH = 500

_FILE_WIDTH = len(files.c)
_LINK_WIDTH = len(links.c)
_UPLOAD_WIDTH = len(uploads.c)


FIND_FILE = select(files).where(files.c.id == bindparam("file_id"))


def find_file(connection: Connection, file_id: FileId) -> FileRecord | None:
    row = connection.execute(FIND_FILE, {"file_id": file_id}).first()
    return None if row is None else FileRecord(*row)


FIND_LINK = (
    select(links, files)
    .join_from(links, files)
    .where(links.c.token_hash == bindparam("token_hash"))
)


def find_link(
    connection: Connection, token_hash: bytes
) -> tuple[LinkRecord, FileRecord] | None:
    row = connection.execute(FIND_LINK, {"token_hash": token_hash}).first()
    if row is None:
        return None
    return LinkRecord(*row[:_LINK_WIDTH]), FileRecord(*row[_LINK_WIDTH:])


FIND_UPLOAD = (
    select(uploads, files)
    .join_from(uploads, files)
    .where(uploads.c.key_hash == bindparam("key_hash"))
)


def find_upload(
    connection: Connection, key_hash: bytes
) -> tuple[UploadRecord, FileRecord] | None:
    row = connection.execute(FIND_UPLOAD, {"key_hash": key_hash}).first()
    if row is None:
        return None
    return UploadRecord(*row[:_UPLOAD_WIDTH]), FileRecord(*row[_UPLOAD_WIDTH:])


FIND_LINKS = (
    select(links)
    .where(links.c.file_id == bindparam("file_id"))
    .order_by(links.c.created_at, links.c.id)
)


def find_links(connection: Connection, file_id: FileId) -> Sequence[LinkRecord]:
    return [LinkRecord(*row) for row in connection.execute(FIND_LINKS, {"file_id": file_id})]


_IS_PART = exists().where(uploads.c.file_id == files.c.id, uploads.c.is_partial)

_FIRST_PAGE = (
    select(files)
    .where(HAS_NOT_ENDED, ~_IS_PART)
    .order_by(files.c.created_at.desc(), files.c.id.desc())
    .limit(bindparam("limit"))
)
_last = files.alias("last")
_NEXT_PAGE = _FIRST_PAGE.where(
    tuple_(files.c.created_at, files.c.id)
    < select(_last.c.created_at, _last.c.id)
    .where(_last.c.id == bindparam("after"))
    .scalar_subquery()
)


def _with_links(page: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    on = page.subquery("page")
    return (
        select(on, links)
        .outerjoin_from(on, links, links.c.file_id == on.c.id)
        .order_by(on.c.created_at.desc(), on.c.id.desc(), links.c.created_at, links.c.id)
    )


LIST_FIRST = _with_links(_FIRST_PAGE)
LIST_NEXT = _with_links(_NEXT_PAGE)


def list_files(
    connection: Connection, *, limit: int, after: FileId | None
) -> Sequence[tuple[FileRecord, Sequence[LinkRecord]]]:
    if after is None:
        rows = connection.execute(LIST_FIRST, {"limit": limit})
    else:
        rows = connection.execute(LIST_NEXT, {"limit": limit, "after": after})
    by_file = itertools.groupby(rows, key=lambda row: row[:_FILE_WIDTH])
    return [
        (FileRecord(*columns), _links(row[_FILE_WIDTH:] for row in of_one))
        for columns, of_one in by_file
    ]


def _links(rows: Iterable[Sequence[Any]]) -> Sequence[LinkRecord]:
    return [LinkRecord(*columns) for columns in rows if columns[0] is not None]


GROWING_FILES = (
    select(files, uploads)
    .outerjoin_from(files, uploads)
    .where(IS_GROWING)
    .order_by(files.c.created_at, files.c.id)
)


def growing_files(
    connection: Connection,
) -> Sequence[tuple[FileRecord, UploadRecord | None]]:
    rows = connection.execute(GROWING_FILES)
    return [(FileRecord(*row[:_FILE_WIDTH]), _upload(row[_FILE_WIDTH:])) for row in rows]


def _upload(columns: Sequence[Any]) -> UploadRecord | None:
    return None if columns[0] is None else UploadRecord(*columns)


EXPIRED_FILES = (
    select(files)
    .where(
        HAS_NOT_ENDED,
        files.c.state != FileState.GROWING,
        files.c.expires_at <= bindparam("now"),
    )
    .order_by(files.c.expires_at, files.c.id)
    .limit(bindparam("limit"))
)


def expired_files(connection: Connection, now: datetime, *, limit: int) -> Sequence[FileRecord]:
    rows = connection.execute(EXPIRED_FILES, {"now": now, "limit": limit})
    return [FileRecord(*row) for row in rows]


KNOWN_BLOBS = select(files.c.blob).where(
    files.c.blob.in_(bindparam("keys", expanding=True)),
    HAS_NOT_ENDED,
    files.c.state != FileState.ABANDONED,
)


RECORDED_BLOBS = select(files.c.blob).where(files.c.blob.in_(bindparam("keys", expanding=True)))


def known_blobs(connection: Connection, keys: Sequence[str]) -> frozenset[str]:
    return _blobs(connection, KNOWN_BLOBS, keys)


def recorded_blobs(connection: Connection, keys: Sequence[str]) -> frozenset[str]:
    return _blobs(connection, RECORDED_BLOBS, keys)


def _blobs(
    connection: Connection, statement: Select[str], keys: Sequence[str]
) -> frozenset[str]:
    found: set[str] = set()
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        found.update(connection.scalars(statement, {"keys": batch}))
    return frozenset(found)


CREDENTIALS = select(credentials).order_by(credentials.c.name)


def all_credentials(connection: Connection) -> Sequence[CredentialRecord]:
    return [CredentialRecord(*row) for row in connection.execute(CREDENTIALS)]
