"""What the tests of this room share."""

import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tailrace.blobs import BlobKey
from tailrace.catalogue import (
    FileId,
    FileRecord,
    FileState,
    LinkId,
    LinkRecord,
    Origin,
    dialects,
    schema,
)

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'catalogue.db'}"


@pytest.fixture
def make_engine(url: str) -> Iterator[Callable[..., Engine]]:
    """Make engines, by default of `url` and lasting through a crash, that are let go."""
    engines: list[Engine] = []

    def make(of: str = url, durability: dialects.Durability = "crash") -> Engine:
        engines.append(dialects.open_engine(dialects.parse_url(of), durability))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture
def engine(make_engine: Callable[..., Engine]) -> Engine:
    """An engine whose tables are ready."""
    ready = make_engine()
    schema.prepare(ready)
    return ready


@pytest.fixture
def make_file() -> Callable[..., FileRecord]:
    def make(name: str = "a", **facts: object) -> FileRecord:
        growing = FileRecord(
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
        return dataclasses.replace(growing, **facts)

    return make


@pytest.fixture
def make_link() -> Callable[..., LinkRecord]:
    def make(file: FileRecord, name: str = "l") -> LinkRecord:
        return LinkRecord(
            id=LinkId(f"{file.id}/{name}"),
            file_id=file.id,
            token_hash=f"hash of {file.id}/{name}".encode(),
            created_at=NOON,
            expires_at=None,
            revoked_at=None,
        )

    return make
