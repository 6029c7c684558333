"""The law of the blob, held against a bytearray under any order of operations."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tailrace.blobs import BlobKey, BlobReader, BlobState, BlobStatus, BlobStore, BlobWriter
from tailrace.blobs.directory import DirectoryBlobs
from tailrace.blobs.memory import MemoryBlobs
from tailrace.errors import BlobAbandoned, BlobBusy, BlobMissing, BlobSealed, OffsetMismatch
from tailrace.spans import Span

T = TypeVar("T")

chunks = st.lists(st.binary(max_size=40), max_size=5)


@dataclass(eq=False)
class Reading:
    reader: BlobReader
    context: AbstractAsyncContextManager[BlobReader]
    waits: list[tuple[int, asyncio.Task[BlobStatus]]] = field(default_factory=list)


@dataclass(eq=False)
class Model:
    """What a blob must be. One that was removed lives on for its readers and its writer."""

    key: BlobKey
    content: bytearray = field(default_factory=bytearray)
    state: BlobState = BlobState.GROWING
    is_kept: bool = True
    writer: BlobWriter | None = None
    readings: list[Reading] = field(default_factory=list)

    @property
    def status(self) -> BlobStatus:
        return BlobStatus(self.state, len(self.content))

    def remove(self) -> None:
        self.is_kept = False
        if self.state is BlobState.GROWING:
            self.state = BlobState.ABANDONED


class BlobLaw(RuleBasedStateMachine):
    make_store: Callable[[], BlobStore]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = self.make_store()
        self.models: list[Model] = []
        self.spent: list[BlobWriter] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def pick(self, data: st.DataObject, wanted: Callable[[Model], object]) -> Model | None:
        found = [model for model in self.models if wanted(model)]
        return data.draw(st.sampled_from(found)) if found else None

    # --- the rules: each does one thing to the store and the same to the model ---------------

    @rule()
    def create(self) -> None:
        model = Model(BlobKey(f"{len(self.models):03}"))
        model.writer = self.run(self.store.create(model.key))
        self.models.append(model)

    @rule(data=st.data(), chunks=chunks)
    def append(self, data: st.DataObject, chunks: list[bytes]) -> None:
        if model := self.pick(data, lambda model: model.writer):
            append = model.writer.append(len(model.content), chunks)
            if model.state is BlobState.ABANDONED:
                with pytest.raises(BlobAbandoned):
                    self.run(append)
            else:
                model.content += b"".join(chunks)
                assert self.run(append) == len(model.content) == model.writer.length

    @rule(data=st.data(), chunks=chunks, shift=st.integers(-99, 99).filter(bool))
    def append_elsewhere(self, data: st.DataObject, chunks: list[bytes], shift: int) -> None:
        if model := self.pick(data, lambda model: model.writer):
            offset = len(model.content) + shift
            with pytest.raises((OffsetMismatch, BlobAbandoned)):
                self.run(model.writer.append(offset, chunks))

    @rule(data=st.data())
    def sync(self, data: st.DataObject) -> None:
        if model := self.pick(data, lambda model: model.writer):
            if model.state is BlobState.ABANDONED:
                with pytest.raises(BlobAbandoned):
                    self.run(model.writer.sync())
            else:
                assert self.run(model.writer.sync()) == len(model.content)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if model := self.pick(data, lambda model: model.writer):
            self.run(model.writer.release())
            self.end_writer(model)

    @rule(data=st.data())
    def seal(self, data: st.DataObject) -> None:
        if model := self.pick(data, lambda model: model.writer):
            if model.state is BlobState.ABANDONED:
                with pytest.raises(BlobAbandoned):
                    self.run(model.writer.seal())
            else:
                self.run(model.writer.seal())
                model.state = BlobState.SEALED
                self.end_writer(model)

    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        if model := self.pick(data, lambda model: model.writer):
            self.run(model.writer.abandon())
            model.remove()
            self.end_writer(model)

    @precondition(lambda self: self.spent)
    @rule(data=st.data())
    def use_a_spent_writer(self, data: st.DataObject) -> None:
        writer = data.draw(st.sampled_from(self.spent))
        with pytest.raises(ValueError, match="spent"):
            self.run(writer.append(writer.length, [b"late"]))
        self.run(writer.abandon())

    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        if model := self.pick(data, lambda _: True):
            if not model.is_kept:
                error = BlobMissing
            elif model.state is BlobState.SEALED:
                error = BlobSealed
            elif model.writer:
                error = BlobBusy
            else:
                model.writer = self.run(self.store.resume(model.key))
                assert model.writer.length == len(model.content)
                return
            with pytest.raises(error):
                self.run(self.store.resume(model.key))

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if model := self.pick(data, lambda _: True):
            self.run(self.store.remove(model.key))
            model.remove()

    @rule(data=st.data())
    def open(self, data: st.DataObject) -> None:
        if model := self.pick(data, lambda _: True):
            context = self.store.open(model.key)
            if model.is_kept:
                reader = self.run(entered(context))
                model.readings.append(Reading(reader, context))
            else:
                with pytest.raises(BlobMissing):
                    self.run(entered(context))

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if model := self.pick(data, lambda model: model.readings):
            self.run(left(model.readings.pop(0)))

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        if model := self.pick(data, lambda model: model.readings):
            start = data.draw(st.integers(0, len(model.content)))
            stop = data.draw(st.integers(start, len(model.content)))
            reader = data.draw(st.sampled_from(model.readings)).reader
            assert self.run(reader.read(Span(start, stop))) == model.content[start:stop]
            assert reader.status == model.status

    @rule(data=st.data())
    def wait(self, data: st.DataObject) -> None:
        if model := self.pick(data, lambda model: model.readings):
            length = data.draw(st.integers(0, len(model.content) + 20))
            reading = data.draw(st.sampled_from(model.readings))
            task = self.run(begun(reading.reader.wait_beyond(length)))
            reading.waits.append((length, task))

    # --- what holds after each --------------------------------------------------------------

    @invariant()
    def the_store_knows_what_the_model_knows(self) -> None:
        kept = [model for model in self.models if model.is_kept]
        assert sorted(self.run(keys(self.store))) == [model.key for model in kept]
        for model in kept:
            assert self.run(self.store.status(model.key)) == model.status

    @invariant()
    def waits_end_exactly_when_they_should(self) -> None:
        self.run(settle())
        for model in self.models:
            for reading in model.readings:
                for length, task in reading.waits:
                    is_over = (
                        model.status.length > length or model.state is not BlobState.GROWING
                    )
                    assert task.done() == is_over
                    assert not is_over or self.run(result(task)) == model.status
                reading.waits = [wait for wait in reading.waits if not wait[1].done()]

    def teardown(self) -> None:
        for model in self.models:
            for reading in model.readings:
                self.run(left(reading))
            if model.writer:
                self.run(model.writer.release())
        self.run(self.close_store())
        self.runner.close()

    async def close_store(self) -> None:
        pass

    def end_writer(self, model: Model) -> None:
        self.spent.append(model.writer)
        model.writer = None


async def entered(context: AbstractAsyncContextManager[T]) -> T:
    return await context.__aenter__()


async def left(reading: Reading) -> None:
    for _, task in reading.waits:
        task.cancel()
    await settle()
    assert all(task.cancelled() for _, task in reading.waits)
    await reading.context.__aexit__(None, None, None)


async def begun(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    return asyncio.create_task(work)


async def result(task: asyncio.Task[T]) -> T:
    return await task


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def keys(store: BlobStore) -> list[BlobKey]:
    return [key async for key in store.keys()]


class MemoryLaw(BlobLaw):
    make_store = staticmethod(MemoryBlobs)


class DirectoryLaw(BlobLaw):
    def __init__(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        super().__init__()

    def make_store(self) -> DirectoryBlobs:
        return DirectoryBlobs(Path(self.directory.name))

    @rule()
    def crash_and_start_again(self) -> None:
        for model in self.models:
            for reading in model.readings:
                self.run(left(reading))
            model.readings = []
            if model.writer:
                model.writer._file.close()  # what the kernel does for a process that died
                self.end_writer(model)
        self.run(self.close_store())
        self.store = self.make_store()

    async def close_store(self) -> None:
        await self.store.close()

    def teardown(self) -> None:
        super().teardown()
        self.directory.cleanup()


TestMemoryLaw = MemoryLaw.TestCase
TestMemoryLaw.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestDirectoryLaw = DirectoryLaw.TestCase
TestDirectoryLaw.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
