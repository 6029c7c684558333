"""The plan with helpers against a model of a server that cuts, changes and lies to each."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.client import coverage as coverage_module
from tailrace.client.moves import (
    Ask,
    ContentEnded,
    Discard,
    Disconnected,
    Fail,
    Finish,
    Framing,
    Head,
    HeadReceived,
    HelpEnded,
    Land,
    Landed,
    Measured,
    Patience,
    Pause,
    PauseEnded,
    Record,
    Relieved,
    Started,
    Verify,
    Wait,
)
from tailrace.client.plan import Plan
from tailrace.client.trust import is_piece
from tailrace.protocol.ranges import ContentRange
from tailrace.protocol.validators import EntityTag
from tailrace.spans import Span

CUT = Disconnected("cut", was_connected=True)

LIES = (
    *["another file"] * 4,
    "another tag",
    "no tag",
    "weak tag",
    "another start",
    "another length",
    "the whole",
    "gzip",
    "chunked",
    "more than asked",
    "503",
    "short",
)


@pytest.fixture(autouse=True, scope="module")
def _small_pieces():
    before = coverage_module._SMALLEST_PIECE
    coverage_module._SMALLEST_PIECE = 2
    yield
    coverage_module._SMALLEST_PIECE = before


def head(ask, content, tag, lie=None):
    """Answer as a good server does, or with one lie; return what comes then too."""
    status, said, coding, framing = 200, None, None, Framing.LENGTH
    is_part = ask.start > 0 or ask.stop is not None
    is_same = ask.entity_tag in (None, tag) or lie == "another file"
    if is_part and is_same and lie != "the whole":
        stop = min(ask.stop or len(content), len(content))
        if ask.start >= stop:
            return Head(416, "", framing, 0, ContentRange.unsatisfied(len(content)), tag, {},
                        None, None, None), b""  # fmt: skip
        if lie == "more than asked":
            stop = len(content)
        if lie == "short":
            stop = ask.start + 1
        status, said = 206, ContentRange(Span(ask.start, stop), len(content))
        sent = content[ask.start : stop]
        match lie:
            case "another start":
                sent = content[: len(sent)]
                said = ContentRange(Span(0, len(sent)), len(content))
            case "another length":
                said = ContentRange(Span(ask.start, stop), len(content) + 1)
    else:
        sent = content
    match lie:
        case "another tag":
            tag = EntityTag("another")
        case "no tag":
            tag = None
        case "weak tag":
            tag = EntityTag(tag.opaque, weak=True)
        case "gzip":
            coding = "gzip"
        case "chunked":
            framing = Framing.CHUNKED
        case "503":
            status, said = 503, None
    length = len(sent) if framing is Framing.LENGTH else None
    return Head(status, "", framing, length, said, tag, {}, coding, None, None), sent


class World:
    """Steps the lead and its helpers in any order; `choices` say which, and what goes wrong."""

    def __init__(self, versions, choices):
        self.versions = versions
        self.version = 0
        self.choices: Iterator[int] = iter(choices)
        self.is_honest = False
        self.is_over = False  # all choices are made: what is left goes well
        self.plan = Plan(
            wanted={}, held=None, patience=Patience(tries=4, first_pause_seconds=0)
        )
        self.disk = bytearray()
        self.helpers = []  # [piece, what its response still has]
        self.most_helpers = 0
        self.content = b""  # of the lead's response
        self.sent = 0

    def choose(self, number):
        choice = next(self.choices, None)
        if choice is None:
            self.is_over = True
            return 0
        return choice % number

    def answer(self, ask, *, lies=LIES):
        content, tag = self.versions[self.version]
        lie = (
            None
            if self.is_over or self.is_honest or self.choose(3)
            else lies[self.choose(len(lies))]
        )
        if lie == "another file":  # though If-Range asked for a part of this one only
            content, tag = self.versions[1 - self.version]
        return head(ask, content, tag, lie)

    def write(self, start, octets):
        self.disk.extend(bytes(max(0, start + len(octets) - len(self.disk))))
        self.disk[start : start + len(octets)] = octets

    def run(self):
        actions = self.plan.receive(Started())
        for _ in range(3000):
            for action in actions:
                match action:
                    case Discard():
                        self.disk.clear()
                    case Fail() | Finish():
                        return action
            last = actions[-1]
            event = None
            while event is None:
                self.step_helpers()
                event = self.lead(last)
            if isinstance(event, HeadReceived) and event.head.status == 200:
                self.stop_helpers()
            actions = self.plan.receive(event) or (Land(0),)
        raise AssertionError("it never ends")

    def lead(self, action):
        match action:
            case Ask():
                told, self.content = self.answer(
                    action, lies=LIES if action.start else ("503",)
                )
                self.sent = 0
                return HeadReceived(told)
            case Land() | Record():
                room = self.plan.room
                if not room.length:
                    return Relieved()
                if not self.is_over and self.choose(8) == 7 and not self.is_honest:
                    return CUT
                if self.sent == len(self.content):
                    return ContentEnded()
                count = min(1 + self.choose(5), room.length, len(self.content) - self.sent)
                octets = self.content[self.sent : self.sent + count]
                self.write(room.start, octets)
                self.sent += count
                return Landed(Span(room.start, room.start + count))
            case Pause():
                return PauseEnded()
            case Wait():
                return None if self.helpers else HelpEnded()
            case Verify():
                self.stop_helpers()
                return Measured(len(self.disk), {})
        raise AssertionError(action)

    def stop_helpers(self):
        for piece, _ in self.helpers:
            self.plan.coverage.give_back(piece)
        self.helpers.clear()

    def step_helpers(self):
        if self.is_over:
            for helper in tuple(self.helpers):
                self.step(helper, 100)
            return
        match self.choose(6):
            case 0 | 1:
                task = self.plan.hand_out(3, 0.0)
                if task is not None:
                    piece, ask = task
                    told, sent = self.answer(ask)
                    if is_piece(self.plan.representation, ask, told):
                        self.helpers.append((piece, bytearray(sent)))
                        self.most_helpers = max(self.most_helpers, len(self.helpers))
                    else:
                        self.plan.coverage.give_back(piece)
            case 2 | 3 if self.helpers:
                self.step(self.helpers[self.choose(len(self.helpers))], 1 + self.choose(6))
            case 4 if self.helpers and not self.choose(3):
                piece, _ = self.helpers.pop()
                self.plan.coverage.give_back(piece)
            case 5 if not self.choose(8):
                self.version = len(self.versions) - 1

    def step(self, helper, count):
        piece, sent = helper
        octets = bytes(sent[: min(count, piece.left.length)])
        if not octets:
            self.plan.coverage.give_back(piece)
            self.helpers.remove(helper)
            return
        del sent[: len(octets)]
        self.write(piece.position, octets)
        self.plan.coverage.reach(piece, len(octets))


def version(number, length):
    """No two of them have an equal byte, so that no mixture looks like one."""
    return bytes(range(100 * number, 100 * number + length)), EntityTag(str(number))


choices = st.lists(st.integers(0, 999), min_size=30, max_size=120)


@settings(max_examples=400)
@given(st.integers(8, 60), st.sampled_from([0, 0, 0, -3, 3]), choices)
def test_for_any_cuts_changes_and_lies_the_file_is_one_version_or_the_run_fails(
    length, longer, choices
):
    # Mostly of one length, for a change of length is the easier one to see.
    versions = [version(0, length), version(1, length + longer)]
    world = World(versions, choices)
    outcome = world.run()
    if isinstance(outcome, Finish):
        assert bytes(world.disk) in [content for content, _ in versions]
    else:
        assert isinstance(outcome, Fail)


@settings(max_examples=100)
@given(st.integers(8, 60), choices)
def test_where_nothing_goes_wrong_but_the_order_the_file_comes(length, choices):
    world = World([version(0, length)] * 2, choices)
    world.is_honest = True
    assert isinstance(world.run(), Finish)
    assert bytes(world.disk) == version(0, length)[0]


def test_the_model_reaches_several_helpers():
    seen = []
    for seed in range(40):
        world = World(
            [version(0, 60)] * 2, [(seed * 7 + turn * 13) % 997 for turn in range(100)]
        )
        world.run()
        seen.append(world.most_helpers)
    assert max(seen) >= 2
