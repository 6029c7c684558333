"""What is remembered, beside the truth that changes behind its back."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tailrace.catalogue import remembered
from tailrace.catalogue.remembered import Remembered

pytestmark = pytest.mark.anyio


class Source:
    """Something that is read, changes, and tells of it."""

    def __init__(self, **values: int) -> None:
        self.values = values
        self.version: int | None = 1
        self.reads: list[str] = []

    def change(self, key: str, value: int | None) -> None:
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value
        if self.version is not None:
            self.version += 1

    async def read(self, key: str) -> int | None:
        self.reads.append(key)
        return self.values.get(key)

    def remembered(self) -> Remembered[str, int]:
        return Remembered(lambda: self.version, self.read)


async def test_what_has_not_changed_is_read_once() -> None:
    source = Source(a=1, b=2)
    found = source.remembered()
    assert [await found.find(key) for key in "abab"] == [1, 2, 1, 2]
    assert source.reads == ["a", "b"]


async def test_what_is_at_hand_is_what_was_read_and_has_not_changed() -> None:
    source = Source(a=1)
    found = source.remembered()
    assert found.at_hand("a") is None
    await found.find("a")
    assert found.at_hand("a") == 1
    source.change("b", 1)
    assert found.at_hand("a") is None
    assert source.reads == ["a"]


@pytest.mark.parametrize("value", [2, None])
async def test_any_change_has_everything_read_again(value: int | None) -> None:
    source = Source(a=1, b=1)
    found = source.remembered()
    await found.find("a")
    await found.find("b")
    source.change("a", value)
    assert await found.find("a") == value
    assert await found.find("b") == 1
    assert source.reads == ["a", "b", "a", "b"]


async def test_nothing_is_remembered_where_nobody_tells_of_changes() -> None:
    source = Source(a=1)
    source.version = None
    found = source.remembered()
    await found.find("a")
    source.change("a", 2)
    assert await found.find("a") == 2


async def test_nothing_is_answered_again_while_it_cannot_be_told() -> None:
    source = Source(a=1)
    found = source.remembered()
    await found.find("a")
    source.version = None
    source.change("a", 2)
    assert await found.find("a") == 2
    source.version = 1  # as it was before: what was found under that is forgotten
    assert await found.find("a") == 2


async def test_that_there_is_nothing_is_not_remembered() -> None:
    source = Source(a=1)
    found = source.remembered()
    await found.find("a")
    for number in range(5000):
        assert await found.find(f"missing {number}") is None
    await found.find("a")
    assert source.reads.count("a") == 1


async def test_no_more_is_kept_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "_LIMIT", 2)
    source = Source(a=1, b=2, c=3)
    found = source.remembered()
    for key in "abc":
        await found.find(key)
    assert len(found._found) == 2
    assert await found.find("c") == 3
    assert source.reads == ["a", "b", "c"]
    assert await found.find("a") == 1
    assert source.reads == ["a", "b", "c", "a"]


async def test_a_read_that_fails_is_made_again() -> None:
    source = Source(a=1)
    fails = True

    async def read(key: str) -> int | None:
        if fails:
            raise OSError
        return await source.read(key)

    found = Remembered(lambda: source.version, read)
    with pytest.raises(OSError):  # noqa: PT011  # which has no words
        await found.find("a")
    fails = False
    assert await found.find("a") == 1


async def test_what_was_seen_before_a_change_that_others_have_noticed_is_not_kept() -> None:
    source = Source(a=1, b=1)
    has_seen, may_return = asyncio.Event(), asyncio.Event()

    async def read(key: str) -> int | None:
        value = await source.read(key)
        if key == "a":
            has_seen.set()
            await may_return.wait()
        return value

    found = Remembered(lambda: source.version, read)
    slow = asyncio.create_task(found.find("a"))
    await has_seen.wait()
    source.change("a", 2)
    await found.find("b")
    may_return.set()
    assert await slow == 1  # which it was when this was asked
    assert await found.find("a") == 2


keys = st.sampled_from("ab")


class Machine(RuleBasedStateMachine):
    """Many who ask at once: each read sees the truth at some moment, and returns later."""

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.now = 0
        self.version: int | None = 0
        self.truth: dict[str, int | None] = {"a": None, "b": None}
        self.told: dict[str, list[tuple[int, int | None]]] = {
            "a": [(0, None)],
            "b": [(0, None)],
        }
        self.reads: list[tuple[str, asyncio.Future[None]]] = []
        self.has_seen: list[asyncio.Future[None]] = []
        self.found = Remembered(lambda: self.version, self.read)

    def teardown(self) -> None:
        while self.reads:
            self.see(0)
        while self.has_seen:
            self.let_return(0)
        self.runner.close()

    async def read(self, key: str) -> int | None:
        looks, returns = asyncio.Future[None](), asyncio.Future[None]()
        self.reads.append((key, looks))
        await looks
        value = self.truth[key]
        self.has_seen.append(returns)
        await returns
        return value

    async def ask(self, key: str) -> None:
        since = self.now
        value = await self.found.find(key)
        # It must have been the truth at some moment while the question was open.
        changes = self.told[key]
        held = [
            old
            for (_, old), until in zip(
                changes, [*(at for at, _ in changes[1:]), None], strict=True
            )
            if until is None or until > since
        ]
        assert value in held, f"{value} was true only before {since}"

    def step(self, act: Callable[[], object] = lambda: None) -> None:
        async def stepping() -> None:
            act()
            for _ in range(4):
                await asyncio.sleep(0)

        self.runner.run(stepping())
        for task in [task for task in self.asking if task.done()]:
            self.asking.remove(task)
            task.result()

    @property
    def asking(self) -> list[asyncio.Task[None]]:
        return self.__dict__.setdefault("_asking", [])

    @rule(key=keys, is_seen=st.booleans())
    def begin_to_ask(self, key: str, is_seen: bool) -> None:
        loop = self.runner.get_loop()
        self.step(lambda: self.asking.append(loop.create_task(self.ask(key))))
        if is_seen and self.reads:
            self.see(-1)

    @rule(key=keys, exists=st.booleans())
    def change(self, key: str, exists: bool) -> None:
        self.now += 1
        self.truth[key] = self.now if exists else None
        self.told[key].append((self.now, self.truth[key]))
        if self.version is not None:
            self.version += 1

    @precondition(lambda self: self.reads)
    @rule(which=st.integers(0, 3))
    def see(self, which: int) -> None:
        _, looks = self.reads.pop(which % len(self.reads))
        self.step(lambda: looks.set_result(None))

    @precondition(lambda self: self.has_seen)
    @rule(which=st.integers(0, 3))
    def let_return(self, which: int) -> None:
        returns = self.has_seen.pop(which % len(self.has_seen))
        self.step(lambda: returns.set_result(None))


TestRemembered = Machine.TestCase
TestRemembered.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
