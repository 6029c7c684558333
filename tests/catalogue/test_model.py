"""The catalogue beside a model of plain dictionaries, under any order of calls."""

import asyncio
import dataclasses
import tempfile
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tailrace.blobs import BlobKey
from tailrace.catalogue import (
    FileId,
    FileRecord,
    FileState,
    LinkId,
    LinkRecord,
    Origin,
    UploadRecord,
)
from tailrace.catalogue.sql import open_catalogue
from tailrace.errors import FileNotKnown

T = TypeVar("T")

# Few names and few moments, so that calls meet: on one file, and at one moment.
ids = st.sampled_from([FileId(name) for name in "abc"])
MOMENTS = [datetime(2026, 6, 1, hour, tzinfo=UTC) for hour in range(3)]
moments = st.sampled_from(MOMENTS)
maybe_moments = st.none() | moments
LIMITS = [1, 2]
limits = st.sampled_from(LIMITS)


class Model:
    """What the contract says, with no regard for cost."""

    def __init__(self) -> None:
        self.files: dict[FileId, FileRecord] = {}
        self.links: dict[bytes, LinkRecord] = {}
        self.uploads: dict[bytes, UploadRecord] = {}

    def links_of(self, file_id: FileId) -> list[LinkRecord]:
        of_file = [link for link in self.links.values() if link.file_id == file_id]
        return sorted(of_file, key=lambda link: (link.created_at, link.id))

    def upload_of(self, file_id: FileId) -> UploadRecord | None:
        of_file = (upload for upload in self.uploads.values() if upload.file_id == file_id)
        return next(of_file, None)

    def change(self, file_id: FileId, **facts: object) -> FileRecord:
        """Change a growing file; any other stays."""
        if self.files[file_id].state is FileState.GROWING:
            self.files[file_id] = dataclasses.replace(self.files[file_id], **facts)
        return self.files[file_id]

    def abandon(self, file_id: FileId, reason: str, at: datetime) -> FileRecord:
        return self.change(file_id, state=FileState.ABANDONED, reason=reason, abandoned_at=at)

    def end(self, file_id: FileId, reason: str, at: datetime) -> FileRecord:
        file = self.abandon(file_id, reason, at)
        if file.ended_at is None:
            file = dataclasses.replace(file, ended_at=at, reason=file.reason or reason)
            self.files[file_id] = file
        return file

    def forget(self, file_id: FileId) -> None:
        del self.files[file_id]
        self.links = {k: link for k, link in self.links.items() if link.file_id != file_id}
        self.uploads = {k: up for k, up in self.uploads.items() if up.file_id != file_id}


class CatalogueMachine(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.model = Model()
        self.made = 0
        self.directory = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        url = f"sqlite:///{Path(self.directory.name) / 'catalogue.db'}"
        self.catalogue = self.run(open_catalogue(url, durability="crash"))

    def teardown(self) -> None:
        self.run(self.catalogue.close())
        self.runner.close()
        self.directory.cleanup()

    def run(self, call: Coroutine[object, object, T]) -> T:
        return self.runner.run(call)

    def answer(self, call: Coroutine[object, object, T]) -> T | type[FileNotKnown]:
        try:
            return self.run(call)
        except FileNotKnown:
            return FileNotKnown

    def unused(self) -> str:
        self.made += 1
        return str(self.made)

    # --- changes --------------------------------------------------------------------------

    @rule(
        file_id=ids,
        created_at=moments,
        expires_at=maybe_moments,
        link_moments=st.lists(moments, max_size=3),
        has_upload=st.booleans(),
        upload_expires_at=maybe_moments,
    )
    def add_file(
        self,
        file_id: FileId,
        created_at: datetime,
        expires_at: datetime | None,
        link_moments: Sequence[datetime],
        has_upload: bool,
        upload_expires_at: datetime | None,
    ) -> None:
        if file_id in self.model.files:
            return
        file = FileRecord(
            id=file_id,
            name=file_id,
            media_type="text/csv",
            blob=BlobKey(self.unused()),
            state=FileState.GROWING,
            length=None,
            complete_length=None,
            sha256=None,
            origin=Origin.JOB,
            created_at=created_at,
            sealed_at=None,
            expires_at=expires_at,
            ended_at=None,
            reason=None,
        )
        links = [self.a_link(file_id, moment) for moment in link_moments]
        upload = None
        if has_upload:
            key = self.unused().encode()
            upload = UploadRecord(key, file_id, created_at, upload_expires_at, None)
            self.model.uploads[key] = upload
        self.model.files[file_id] = file
        self.model.links.update({link.token_hash: link for link in links})
        self.run(self.catalogue.add_file(file, links, upload))

    @rule(file_id=ids, created_at=moments)
    def add_link(self, file_id: FileId, created_at: datetime) -> None:
        link = self.a_link(file_id, created_at)
        expected = None
        if file_id in self.model.files:
            self.model.links[link.token_hash] = link
        else:
            expected = FileNotKnown
        assert self.answer(self.catalogue.add_link(link)) == expected

    def a_link(self, file_id: FileId, created_at: datetime) -> LinkRecord:
        name = self.unused()
        return LinkRecord(LinkId(name), file_id, name.encode(), created_at, None, None)

    @rule(file_id=ids, length=st.integers(0, 2**63 - 1))
    def promise_length(self, file_id: FileId, length: int) -> None:
        self.run(self.catalogue.promise_length(file_id, length))
        if file_id in self.model.files:
            self.model.change(file_id, complete_length=length)

    @rule(file_id=ids, expires_at=maybe_moments)
    def extend_upload(self, file_id: FileId, expires_at: datetime | None) -> None:
        upload = self.model.upload_of(file_id)
        key = b"stranger" if upload is None else upload.key_hash
        self.run(self.catalogue.extend_upload(key, expires_at))
        if upload is not None:
            self.model.uploads[key] = dataclasses.replace(upload, expires_at=expires_at)

    @rule(file_id=ids, length=st.integers(0, 2**63 - 1), at=moments)
    def seal_file(self, file_id: FileId, length: int, at: datetime) -> None:
        sha256 = length.to_bytes(32, "big")
        call = self.catalogue.seal_file(file_id, length=length, sha256=sha256, sealed_at=at)
        answer = self.answer(call)
        if file_id not in self.model.files:
            assert answer is FileNotKnown
            return
        before = self.model.files[file_id]
        expires_at = before.expires_at
        if expires_at is not None:  # the time it is kept begins with the seal
            expires_at += max(at - before.created_at, timedelta(0))
        assert answer == self.model.change(
            file_id,
            state=FileState.SEALED,
            length=length,
            complete_length=length,
            sha256=sha256,
            sealed_at=at,
            expires_at=expires_at,
        )

    @rule(file_id=ids, at=moments)
    def abandon_file(self, file_id: FileId, at: datetime) -> None:
        answer = self.answer(self.catalogue.abandon_file(file_id, reason="left", at=at))
        if file_id in self.model.files:
            assert answer == self.model.abandon(file_id, "left", at)
        else:
            assert answer is FileNotKnown

    @rule(file_id=ids, at=moments)
    def end_file(self, file_id: FileId, at: datetime) -> None:
        answer = self.answer(self.catalogue.end_file(file_id, reason="deleted", at=at))
        if file_id in self.model.files:
            assert answer == self.model.end(file_id, "deleted", at)
        else:
            assert answer is FileNotKnown

    @rule(before=moments, limit=limits)
    def forget_files(self, before: datetime, limit: int) -> None:
        due = [
            file.id
            for file in self.model.files.values()
            if file.ended_at is not None and file.ended_at < before
        ]
        count = self.run(self.catalogue.forget_files(before, limit=limit))
        gone = [
            file_id for file_id in due if self.run(self.catalogue.find_file(file_id)) is None
        ]
        assert count == len(gone) == min(limit, len(due))
        for file_id in gone:
            self.model.forget(file_id)

    # --- questions, asked after every change ----------------------------------------------

    @invariant()
    def pages_of_any_length_cover_what_has_not_ended(self) -> None:
        for limit in LIMITS:
            self.list_all(limit)

    def list_all(self, limit: int) -> None:
        listed: list[tuple[FileRecord, Sequence[LinkRecord]]] = []
        after = None
        while page := self.run(self.catalogue.list_files(limit=limit, after=after)):
            assert len(page) <= limit
            listed += page
            after = page[-1][0].id
        alive = [file for file in self.model.files.values() if file.ended_at is None]
        assert len(listed) == len(alive)
        assert {file for file, _ in listed} == set(alive)
        created = [file.created_at for file, _ in listed]
        assert created == sorted(created, reverse=True)
        for file, links in listed:
            assert_same_links(links, self.model.links_of(file.id))

    @invariant()
    def files_expire_at_their_moments(self) -> None:
        for now in MOMENTS:
            self.expire(now, limit=2)

    def expire(self, now: datetime, limit: int) -> None:
        due = {
            file: file.expires_at
            for file in self.model.files.values()
            if file.ended_at is None and file.state is not FileState.GROWING
            if file.expires_at is not None and file.expires_at <= now
        }
        answer = self.run(self.catalogue.expired_files(now, limit=limit))
        assert set(answer) <= set(due)
        assert [file.expires_at for file in answer] == sorted(due.values())[:limit]

    @invariant()
    def growing_files_have_their_uploads(self) -> None:
        answer = self.run(self.catalogue.growing_files())
        growing = {
            file: self.model.upload_of(file.id)
            for file in self.model.files.values()
            if file.state is FileState.GROWING
        }
        assert len(answer) == len(growing)
        assert dict(answer) == growing

    @invariant()
    def the_blobs_of_living_files_are_known(self) -> None:
        keys = [str(number) for number in range(self.made + 1)]
        assert self.run(self.catalogue.known_blobs(keys)) == {
            file.blob
            for file in self.model.files.values()
            if file.ended_at is None and file.state is not FileState.ABANDONED
        }

    @invariant()
    def files_have_their_links(self) -> None:
        for file_id in self.model.files:
            answer = self.run(self.catalogue.find_links(file_id))
            assert_same_links(answer, self.model.links_of(file_id))

    @invariant()
    def every_hash_finds_what_it_should(self) -> None:
        names = [str(number).encode() for number in range(self.made + 1)]
        links, uploads = self.run(self.find_all(names))
        files = self.model.files
        assert {link.token_hash: (link, file) for link, file in links} == {
            name: (link, files[link.file_id]) for name, link in self.model.links.items()
        }
        assert {upload.key_hash: (upload, file) for upload, file in uploads} == {
            name: (upload, files[upload.file_id]) for name, upload in self.model.uploads.items()
        }

    async def find_all(
        self, names: Sequence[bytes]
    ) -> tuple[
        Sequence[tuple[LinkRecord, FileRecord]], Sequence[tuple[UploadRecord, FileRecord]]
    ]:
        links = await asyncio.gather(*map(self.catalogue.find_link, names))
        uploads = await asyncio.gather(*map(self.catalogue.find_upload, names))
        return list(filter(None, links)), list(filter(None, uploads))


def assert_same_links(answer: Sequence[LinkRecord], expected: Sequence[LinkRecord]) -> None:
    # Which comes first of two of one moment is not promised.
    assert set(answer) == set(expected)
    assert len(answer) == len(expected)
    assert [link.created_at for link in answer] == [link.created_at for link in expected]


TestCatalogueModel = CatalogueMachine.TestCase
TestCatalogueModel.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
