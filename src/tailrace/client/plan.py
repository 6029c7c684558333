"""The download plan: what is asked, which bytes are trusted, when a file is whole.

    READY ──Started──► ASKING ──HeadReceived──► LANDING ──ContentEnded──► VERIFYING
                       ▲ ▲ │                   │  │  ▲ │                      │
                       │ │ └───Disconnected──┐ │  │  └─┘ Landed            Measured
              PauseEnded └──(ask again)──────┼─┘  │                           │
                       │                     ▼    │                           ▼
                       └──────────────────PAUSED◄─┘ Disconnected          FINISHED

    every state but READY, PAUSED and FINISHED may also end in FAILED

The plan does nothing itself: it is told what happened (events) and answers what to do
(actions), without clock, disk or socket. So this one file answers for the rule that a
download is right or loud: for any sequence of cuts, changes and lies the file equals what
the server has, or `Fail` is the last action, and before `Finish` nothing has the final name.
One thing rests on the server's word, that a strong entity tag stands for the same bytes;
where a digest is offered or wanted, not even that.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any

from tailrace.client.moves import (
    Action,
    Ask,
    ContentEnded,
    ContentMalformed,
    Digests,
    Discard,
    Disconnected,
    Event,
    Fail,
    Finish,
    Framing,
    Head,
    HeadReceived,
    Held,
    Land,
    Landed,
    Measured,
    Patience,
    Pause,
    PauseEnded,
    Record,
    Representation,
    Started,
    Verify,
)
from tailrace.errors import (
    ConnectionLost,
    DigestMismatch,
    LengthMismatch,
    MalformedContent,
    RepresentationChanged,
    TailraceError,
    TransferError,
)
from tailrace.protocol.ranges import coalesce
from tailrace.protocol.validators import EntityTag

# Who answers with a last position like this means "to the end, wherever that will be": the
# smallest that RFC 8673 §2.2 shows. The orderly end of such content is the end of the file.
_VERY_LARGE_STOP = 10**12

# How often what has landed may be thrown away in one run. A file that changes more often
# than it can be fetched cannot be had; one stale partial and one change are ordinary.
_MAX_RESTARTS = 3

# Statuses that may pass by themselves; as curl --retry has them.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})


class State(enum.Enum):
    READY = "ready"
    """Nothing is asked yet."""
    ASKING = "asking"
    """A request is out; its head is awaited."""
    LANDING = "landing"
    """Content is written as it comes."""
    PAUSED = "paused"
    """Waits before it asks again."""
    VERIFYING = "verifying"
    """All is there; it is being measured."""
    FINISHED = "finished"
    FAILED = "failed"


class Plan:
    """One download over one connection at a time.

    `wanted` are digests the caller knows from elsewhere. Each batch of actions is to be
    performed in its order, and answered by events.
    """

    def __init__(self, *, wanted: Digests, held: Held | None, patience: Patience) -> None:
        self.state = State.READY
        self.representation = held.representation if held else Representation(None, None, {})
        self.landed = held.landed if held else ()
        """What the partial file has of the representation: sorted, disjoint spans."""
        self._wanted = wanted
        self._patience = patience
        self._asked = Ask(0, None)
        self._head: Head | None = None  # of the newest response
        self._stop: int | None = None  # where its content has to end
        self._landed_before = self.landed  # it came
        self._ranges_work = True
        self._restarts = 0
        self._failures = 0
        self._has_progressed = False  # since the newest failure

    def receive(self, event: Event) -> tuple[Action, ...]:
        """Take in what happened and return what to do.

        Raises:
            ValueError: this cannot happen in this state.
        """
        steps = TABLE[self.state]
        if type(event) not in steps:
            raise ValueError(f"{event} cannot come while {self.state.value}")
        step, successors = steps[type(event)]
        actions = step(self, event)
        assert self.state in successors, (event, self.state)
        return actions

    # --- asking ---------------------------------------------------------------------------

    def _ask(self, event: Started | PauseEnded | None = None) -> tuple[Action, ...]:
        """Ask for what is missing; for all of it, if what is held cannot be built upon."""
        start, entity_tag = self.front, self.representation.entity_tag
        if not start or not self._is_resumable:
            return self._ask_for_the_whole()
        self.state = State.ASKING
        self._asked = Ask(start, entity_tag)
        return (self._asked,)

    def _ask_for_the_whole(self) -> tuple[Action, ...]:
        # What has landed stays until the whole really comes.
        self.state = State.ASKING
        self._asked = Ask(0, None)
        return (self._asked,)

    @property
    def front(self) -> int:
        """The offset of the first byte that is missing."""
        return self.landed[0].stop if self.landed and self.landed[0].start == 0 else 0

    @property
    def _is_resumable(self) -> bool:
        # A weak tag or a date may stay while bytes change (RFC 9110 §13.1.5). A digest
        # needs no tag: it proves the whole in the end.
        return self._ranges_work and (
            self.representation.entity_tag is not None or self._is_provable
        )

    @property
    def _is_provable(self) -> bool:
        return bool(self._wanted or self.representation.digests)

    # --- a head comes ---------------------------------------------------------------------

    def _read_head(self, event: HeadReceived) -> tuple[Action, ...]:
        head = self._head = event.head
        self._landed_before = self.landed
        match head.status:
            case 200 | 206 if head.content_coding is not None:
                return self._fail(
                    TransferError(
                        f"the server sent the content coded as {head.content_coding!r} though"
                        " it was asked not to; it would not be the file"
                    )
                )
            case 200:
                return self._take_whole(head)
            case 206 if self._asked.start > 0:
                return self._take_part(head)
            case 416 if self._asked.start > 0:
                return self._take_unsatisfied(head)
            case status if status in _PASSING:
                return self._pause(head.refusal(self._standing), head.retry_after_seconds)
            case _:
                return self._fail(head.refusal(self._standing))

    def _take_whole(self, head: Head) -> tuple[Action, ...]:
        for algorithm in self._wanted.keys() & head.digests.keys():
            expected, offered = self._wanted[algorithm], head.digests[algorithm]
            if offered != expected:
                return self._fail(DigestMismatch(algorithm, expected.hex(), offered.hex()))
        if self.landed:
            self._restarts += 1
            if self._restarts > _MAX_RESTARTS:
                return self._fail(self._too_many_restarts(head))
        self.landed = self._landed_before = ()
        self._stop = head.content_length
        self.representation = Representation(
            _strong(head.entity_tag), head.content_length, head.digests
        )
        self.state = State.LANDING
        return Discard(), Record(self.representation), Land(0)

    def _take_part(self, head: Head) -> tuple[Action, ...]:
        part = head.content_range
        if (
            part is None
            or part.span is None
            or part.span.start != self._asked.start
            or head.content_length not in (None, part.span.length)
        ):  # not the bytes that were asked for; do not ask in this way again
            self._ranges_work = False
            return self._ask_for_the_whole()
        # A server that did not understand If-Range goes on in another file (§13.1.5); a 206
        # has to carry the entity tag (§15.3.7), so a missing one is no better than a wrong.
        is_tagged = self._asked.entity_tag in (None, head.entity_tag)
        if not is_tagged or not self._agrees(head, part.complete_length):
            return self._ask_for_the_whole()
        self._stop = part.span.stop
        self.representation = self.representation._replace(
            complete_length=part.complete_length or self.representation.complete_length,
            digests={**head.digests, **self.representation.digests},
        )
        self.state = State.LANDING
        return Record(self.representation), Land(part.span.start)

    def _take_unsatisfied(self, head: Head) -> tuple[Action, ...]:
        """Nothing lies beyond what is held: it may be whole already."""
        part, held = head.content_range, self._asked.start
        if part is None or part.complete_length != held or not self._agrees(head, held):
            return self._ask_for_the_whole()
        if self._is_provable or self.representation.complete_length == held:
            return self._verify(held)
        # A 416 need not carry the tag, and so may be that of another file, which has ended
        # where ours goes on. The last byte again, for a 206 has it.
        self.state = State.ASKING
        self._asked = Ask(held - 1, self.representation.entity_tag)
        return (self._asked,)

    def _agrees(self, head: Head, complete_length: int | None) -> bool:
        """Tell whether nothing contradicts what is known of the representation."""
        known = self.representation
        if complete_length != known.complete_length and None not in (
            complete_length,
            known.complete_length,
        ):
            return False
        return all(
            known.digests[algorithm] == head.digests[algorithm]
            for algorithm in known.digests.keys() & head.digests.keys()
        )

    def _too_many_restarts(self, head: Head) -> TransferError:
        if head.entity_tag is not None and head.entity_tag != self.representation.entity_tag:
            return RepresentationChanged(
                f"the file changed at the server {self._restarts} times while it was fetched;"
                " try again when it has come to rest"
            )
        return ConnectionLost(
            f"the connection was cut {self._restarts} times, and this server offers no way to"
            " resume (a strong ETag with ranges); give its SHA-256 to resume by proof"
        )

    # --- content comes --------------------------------------------------------------------

    def _take_landed(self, event: Landed) -> tuple[Action, ...]:
        self.landed = tuple(sorted(coalesce((*self.landed, event.span))))
        self._has_progressed = True
        if self._stop is not None and event.span.stop > self._stop:
            return self._fail(LengthMismatch(self._stop, event.span.stop), keep=False)
        return ()

    def _take_end(self, event: ContentEnded) -> tuple[Action, ...]:
        head, front, stop = self._head, self.front, self._stop
        assert head is not None, "content comes after a head"
        complete_length = self.representation.complete_length
        if complete_length is not None:
            if front == complete_length:
                return self._verify(front)
            if front != stop:
                return self._take_disconnected(
                    Disconnected("the content ended early", was_connected=True)
                )
            return self._ask()  # 206 may be less than what was asked for (§15.3.7)
        if head.framing is Framing.CHUNKED and (stop is None or stop >= _VERY_LARGE_STOP):
            return self._verify(front)
        if head.status == 206:
            if front > self._asked.start:
                return self._ask()  # a piece of something that may be longer by now
            return self._take_disconnected(
                Disconnected("the server sent an empty part", was_connected=True)
            )
        if self._is_provable:
            return self._verify(front)
        return self._fail(
            TransferError(
                f"the connection was closed after {front} bytes, and nothing tells whether that"
                " was the end (no Content-Length, not chunked); give its SHA-256 to prove it"
            )
        )

    def _take_malformed(self, event: ContentMalformed) -> tuple[Action, ...]:
        self.landed = self._landed_before
        return self._fail(MalformedContent(event.reason))

    # --- trouble --------------------------------------------------------------------------

    def _take_disconnected(self, event: Disconnected) -> tuple[Action, ...]:
        error = ConnectionLost(f"{event.reason}{self._standing}")
        if not event.was_connected and self._head is None:
            return self._fail(error)  # a wrong address is not worth a wait
        return self._pause(error)

    def _pause(
        self, error: TailraceError, asked_seconds: float | None = None
    ) -> tuple[Action, ...]:
        if self._has_progressed:
            self._failures = 0
            self._has_progressed = False
        self._failures += 1
        seconds = self._patience.pause_seconds(self._failures, asked_seconds)
        if seconds is None:
            return self._fail(error)
        self.state = State.PAUSED
        return (Pause(seconds),)

    @property
    def _standing(self) -> str:
        if not self.landed:
            return ""
        of = self.representation.complete_length
        standing = f"; {self.front} of {'unknown' if of is None else of} bytes are here"
        return standing + (", do the same again to resume" if self._is_resumable else "")

    def _fail(self, error: TailraceError, *, keep: bool = True) -> tuple[Action, ...]:
        self.state = State.FAILED
        return (Fail(error, keep),)

    # --- all is there ---------------------------------------------------------------------

    def _verify(self, length: int) -> tuple[Action, ...]:
        self.representation = self.representation._replace(complete_length=length)
        self.state = State.VERIFYING
        return (Verify(frozenset(self._wanted) | frozenset(self.representation.digests)),)

    def _take_measured(self, event: Measured) -> tuple[Action, ...]:
        length = self.representation.complete_length
        assert length is not None, "only a known length is verified"
        if event.length != length:
            return self._fail(LengthMismatch(length, event.length), keep=False)
        for digests in (self.representation.digests, self._wanted):
            for algorithm, expected in digests.items():
                actual = event.digests[algorithm]
                if actual != expected:
                    error = DigestMismatch(algorithm, expected.hex(), actual.hex())
                    return self._fail(error, keep=False)
        self.state = State.FINISHED
        return (Finish(length, event.digests),)


def _strong(entity_tag: EntityTag | None) -> EntityTag | None:
    return None if entity_tag is None or entity_tag.weak else entity_tag


_Step = Callable[[Plan, Any], tuple[Action, ...]]  # of the event it stands beside

_S = State

TABLE: Mapping[State, Mapping[type[Event], tuple[_Step, set[State]]]] = {
    _S.READY: {Started: (Plan._ask, {_S.ASKING})},
    _S.ASKING: {
        HeadReceived: (
            Plan._read_head,
            {_S.ASKING, _S.LANDING, _S.PAUSED, _S.VERIFYING, _S.FAILED},
        ),
        Disconnected: (Plan._take_disconnected, {_S.PAUSED, _S.FAILED}),
    },
    _S.LANDING: {
        Landed: (Plan._take_landed, {_S.LANDING, _S.FAILED}),
        ContentEnded: (Plan._take_end, {_S.ASKING, _S.PAUSED, _S.VERIFYING, _S.FAILED}),
        ContentMalformed: (Plan._take_malformed, {_S.FAILED}),
        Disconnected: (Plan._take_disconnected, {_S.PAUSED, _S.FAILED}),
    },
    _S.PAUSED: {PauseEnded: (Plan._ask, {_S.ASKING})},
    _S.VERIFYING: {Measured: (Plan._take_measured, {_S.FINISHED, _S.FAILED})},
    _S.FINISHED: {},
    _S.FAILED: {},
}
"""What may come in each state, who takes it, and the states that may follow."""
