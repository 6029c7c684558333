"""The download plan: what is asked, which bytes are trusted, when a file is whole.

    READY ──Started──► ASKING ──HeadReceived──► LANDING ──ContentEnded──► VERIFYING
                       ▲ ▲ │                   │  │  ▲ │                      │
                       │ │ └───Disconnected──┐ │  │  └─┘ Landed            Measured
              PauseEnded └──(ask again)──────┼─┘  │                           │
                       │                     ▼    │                           ▼
                       └──────────────────PAUSED◄─┘ Disconnected          FINISHED

    LANDING ──Relieved──► WAITING ──HelpEnded──► ASKING, VERIFYING
    every state but READY, PAUSED, WAITING and FINISHED may also end in FAILED

These are the states of the lead, the connection that a download begins with and that all
decisions are made on. Where the representation is pinned by a strong entity tag and its
length, helpers may fetch pieces of it at the same time: each is handed out by `hand_out`,
its answer judged by `trust.is_piece`, and its bytes are counted by `coverage`.

The plan does nothing itself: it is told what happened (events) and answers what to do
(actions), without clock, disk or socket. So this one file answers for the rule that a
download is right or loud: for any sequence of cuts, changes and lies the file equals what
the server has, or `Fail` is the last action, and before `Finish` nothing has the final name.
One thing rests on the server's word, that a strong entity tag stands for the same bytes;
where a digest is offered or wanted, not even that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tailrace.client.coverage import Coverage, Piece
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
    HelpEnded,
    Land,
    Landed,
    Measured,
    Patience,
    Pause,
    PauseEnded,
    Record,
    Relieved,
    Representation,
    Started,
    State,
    Verify,
    Wait,
)
from tailrace.client.trust import (
    PASSING,
    VERY_LARGE_STOP,
    agrees,
    coded,
    is_asked_for,
    mismatch,
    strong,
    too_many_restarts,
    unproved_end,
)
from tailrace.errors import (
    ConnectionLost,
    LengthMismatch,
    MalformedContent,
    TailraceError,
)
from tailrace.spans import Span

# How often what has landed may be thrown away in one run. A file that changes more often
# than it can be fetched cannot be had; one stale partial and one change are ordinary.
_MAX_RESTARTS = 3

_BEYOND_ANY_FILE = 2**63 - 1


class Plan:
    """One download.

    `wanted` are digests the caller knows from elsewhere. Each batch of actions is to be
    performed in its order, and answered by events.
    """

    def __init__(self, *, wanted: Digests, held: Held | None, patience: Patience) -> None:
        self.state = State.READY
        self.representation = held.representation if held else Representation(None, None, {})
        self.coverage = Coverage(held.landed if held else ())
        """What the partial file has of the representation, and what is to come."""
        self._wanted = wanted
        self._patience = patience
        self._asked = Ask(0, None)
        self._head: Head | None = None  # of the newest response
        self._stop: int | None = None  # where its content has to end
        self._offset = 0  # where the next byte of it lands
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

    @property
    def landed(self) -> tuple[Span, ...]:
        return self.coverage.landed

    @property
    def room(self) -> Span:
        """Where the content of the lead may land next; empty where it is relieved."""
        return self.coverage.room(self._offset, _BEYOND_ANY_FILE)

    # --- helpers --------------------------------------------------------------------------

    def hand_out(self, connections: int, now: float) -> tuple[Piece, Ask] | None:
        """Return what one more helper is to fetch and how, if there is anything.

        `connections` are those that share the work; `now` is of a monotonic clock.
        """
        known = self.representation
        if (
            known.entity_tag is None
            or known.complete_length is None
            or not self._ranges_work
            or self.state not in _HELPED
        ):
            return None
        piece = self.coverage.hand_out(known.complete_length, connections, now)
        if piece is None:
            return None
        return piece, Ask(piece.start, known.entity_tag, piece.stop)

    # --- asking ---------------------------------------------------------------------------

    def _ask(self, event: Started | PauseEnded | None = None) -> tuple[Action, ...]:
        """Ask for what is missing; for all of it, if what is held cannot be built upon."""
        if not self.coverage.front or not self._is_resumable:
            return self._ask_for_the_whole()
        length = self.representation.complete_length
        if length is None:
            start, stop = self.coverage.landed[-1].stop, None
        else:
            gap = next(self.coverage.gaps(length), Span(length, length))
            start, stop = gap.start, gap.stop if gap.stop < length else None
        return self._ask_for(Ask(start, self.representation.entity_tag, stop))

    def _ask_for_the_whole(self) -> tuple[Action, ...]:
        # What has landed stays until the whole really comes.
        return self._ask_for(Ask(0, None))

    def _ask_for(self, ask: Ask) -> tuple[Action, ...]:
        self.state = State.ASKING
        self._asked = ask
        self.coverage.lead = ask.start
        return (ask,)

    def _go_on(
        self, event: Relieved | HelpEnded | PauseEnded | None = None
    ) -> tuple[Action, ...]:
        """Fetch what nobody does; else wait for the helpers, or verify what is whole."""
        length = self.representation.complete_length
        if length is None or not self._is_resumable:
            return self._ask()
        if self._is_whole:
            return self._verify(length)
        if self.coverage.has_pieces and not any(self.coverage.gaps(length)):
            self.state = State.WAITING
            self.coverage.lead = None
            return (Wait(),)
        return self._ask()

    @property
    def _is_whole(self) -> bool:
        return self.landed == (Span(0, self.representation.complete_length or 0),)

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
                return self._fail(coded(head))
            case 200:
                return self._take_whole(head)
            case 206 if self._asked.start > 0:
                return self._take_part(head)
            case 416 if self._asked.start > 0:
                return self._take_unsatisfied(head)
            case status if status in PASSING:
                return self._pause(head.refusal(self._standing), head.retry_after_seconds)
            case _:
                return self._fail(head.refusal(self._standing))

    def _take_whole(self, head: Head) -> tuple[Action, ...]:
        if error := mismatch(self._wanted, head.digests):
            return self._fail(error)
        if self.landed:
            self._restarts += 1
            if self._restarts > _MAX_RESTARTS:
                return self._fail(too_many_restarts(self.representation, head, self._restarts))
        self.coverage.reset(())
        self._landed_before = ()
        self._stop = head.content_length
        self.representation = Representation(
            strong(head.entity_tag), head.content_length, head.digests
        )
        self.state = State.LANDING
        self._offset = 0
        return Discard(), Record(self.representation), Land(0)

    def _take_part(self, head: Head) -> tuple[Action, ...]:
        part = head.content_range
        if part is None or part.span is None or not is_asked_for(self._asked, head):
            self._ranges_work = False  # so do not ask in this way again
            return self._ask_for_the_whole()
        # A server that did not understand If-Range goes on in another file (§13.1.5); a 206
        # has to carry the entity tag (§15.3.7), so a missing one is no better than a wrong.
        is_tagged = self._asked.entity_tag in (None, head.entity_tag)
        if not is_tagged or not agrees(self.representation, head, part.complete_length):
            return self._ask_for_the_whole()
        self._stop = part.span.stop
        self.representation = self.representation._replace(
            complete_length=part.complete_length or self.representation.complete_length,
            digests={**head.digests, **self.representation.digests},
        )
        self.state = State.LANDING
        self._offset = part.span.start
        return Record(self.representation), Land(part.span.start)

    def _take_unsatisfied(self, head: Head) -> tuple[Action, ...]:
        """Nothing lies beyond what is held: it may be whole already."""
        part, held = head.content_range, self._asked.start
        if (
            part is None
            or part.complete_length != held
            or not agrees(self.representation, head, held)
        ):
            return self._ask_for_the_whole()
        if self._is_provable or self.representation.complete_length == held:
            return self._verify(held)
        # A 416 need not carry the tag, and so may be that of another file, which has ended
        # where ours goes on. The last byte again, for a 206 has it.
        return self._ask_for(Ask(held - 1, self.representation.entity_tag))

    # --- content comes --------------------------------------------------------------------

    def _take_landed(self, event: Landed) -> tuple[Action, ...]:
        self.coverage.add(event.span)
        self.coverage.lead = self._offset = event.span.stop
        self._has_progressed = True
        if self._stop is not None and event.span.stop > self._stop:
            return self._fail(LengthMismatch(self._stop, event.span.stop), keep=False)
        return ()

    def _take_end(self, event: ContentEnded) -> tuple[Action, ...]:
        head, front, stop = self._head, self._offset, self._stop
        assert head is not None, "content comes after a head"
        complete_length = self.representation.complete_length
        if complete_length is not None:
            if self._is_whole or front == complete_length == 0:
                return self._verify(complete_length)
            if front != stop:
                return self._take_disconnected(
                    Disconnected("the content ended early", was_connected=True)
                )
            return self._go_on()  # 206 may be less than what was asked for (§15.3.7)
        if head.framing is Framing.CHUNKED and (stop is None or stop >= VERY_LARGE_STOP):
            return self._verify(front)
        if head.status == 206:
            if front > self._asked.start:
                return self._ask()  # a piece of something that may be longer by now
            return self._take_disconnected(
                Disconnected("the server sent an empty part", was_connected=True)
            )
        if self._is_provable:
            return self._verify(front)
        return self._fail(unproved_end(front, "; give its SHA-256 to prove it"))

    def _take_malformed(self, event: ContentMalformed) -> tuple[Action, ...]:
        self.coverage.reset(self._landed_before)
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
        standing = self.coverage.standing(self.representation.complete_length)
        is_worth_it = standing and self._is_resumable
        return standing + (", do the same again to resume" if is_worth_it else "")

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
        for expected in (self.representation.digests, self._wanted):
            if error := mismatch(expected, {name: event.digests[name] for name in expected}):
                return self._fail(error, keep=False)
        self.state = State.FINISHED
        return (Finish(length, event.digests),)


_Step = Callable[[Plan, Any], tuple[Action, ...]]  # of the event it stands beside

_S = State

_HELPED = frozenset({_S.ASKING, _S.LANDING, _S.PAUSED, _S.WAITING})

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
        ContentEnded: (
            Plan._take_end,
            {_S.ASKING, _S.PAUSED, _S.WAITING, _S.VERIFYING, _S.FAILED},
        ),
        ContentMalformed: (Plan._take_malformed, {_S.FAILED}),
        Disconnected: (Plan._take_disconnected, {_S.PAUSED, _S.FAILED}),
        Relieved: (Plan._go_on, {_S.ASKING, _S.WAITING, _S.VERIFYING}),
    },
    _S.PAUSED: {PauseEnded: (Plan._go_on, {_S.ASKING, _S.WAITING, _S.VERIFYING})},
    _S.WAITING: {HelpEnded: (Plan._go_on, {_S.ASKING, _S.VERIFYING})},
    _S.VERIFYING: {Measured: (Plan._take_measured, {_S.FINISHED, _S.FAILED})},
    _S.FINISHED: {},
    _S.FAILED: {},
}
"""What may come in each state, who takes it, and the states that may follow."""
