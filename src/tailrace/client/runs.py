"""One download: a loop that does what the plan says and tells it what happened."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from tailrace.client.cancellation import Cancellation
from tailrace.client.connections import Response
from tailrace.client.destinations import Destination
from tailrace.client.following import FollowingDigest
from tailrace.client.heads import describe
from tailrace.client.helpers import Helpers
from tailrace.client.landing import Landing
from tailrace.client.moves import (
    Action,
    Ask,
    ContentEnded,
    ContentMalformed,
    Discard,
    Disconnected,
    Event,
    Fail,
    Finish,
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
from tailrace.client.partial import Busy, Partial, refuse_taken
from tailrace.client.plan import Plan
from tailrace.client.throttle import Throttle
from tailrace.client.transport import Authorization, Transport, Unreachable
from tailrace.client.urls import Url
from tailrace.errors import ConnectionLost, LengthExceeded, MalformedContent, StorageError
from tailrace.spans import Span

Progress = Callable[[int, int | None], None]
"""Told how many bytes are here, and of how many, None where nobody knows yet."""

# How often a download that only waits for its helpers tells how it stands.
_WAIT_SECONDS = 0.1

# A record costs a sync. So the first comes early and the next ones after each quarter more:
# whenever this process is killed, four fifths of what had landed are trusted.
_FIRST_RECORD = 1024 * 1024
_LONGEST_UNRECORDED = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Download:
    """A file that is here, whole."""

    path: Path
    length: int
    sha256: str | None
    """In hexadecimal, where it was verified: offered by the server, or given."""
    resumed_from: int
    """How many bytes an earlier run had left; 0 where all came in this one."""


class Run:
    """One download over a transport, which others may use before and after."""

    def __init__(
        self,
        *,
        url: Url,
        transport: Transport,
        authorization: Authorization | None,
        destination: Destination,
        force: bool,
        wanted: dict[str, bytes],
        progress: Progress | None,
        patience: Patience,
        cancellation: Cancellation,
        connections: int,
        max_length: int | None,
        throttle: Throttle | None,
    ) -> None:
        self._url = url
        self._authorization = authorization
        self._destination = destination
        self._force = force
        self._wanted = wanted
        self._progress = progress
        self._max_length = max_length
        self._throttle = throttle
        self._cancellation = cancellation
        self._transport = transport
        if destination.name is not None:
            refuse_taken(destination.directory / destination.name, force=force)
        self._keep = True
        self._partial = self._open_partial()
        self._suggested_name = self._partial.name
        self._plan = Plan(wanted=wanted, held=self._partial.held, patience=patience)
        self._helpers = Helpers(
            self._plan, self._partial, self._transport, authorization, connections, throttle
        )
        self._resumed_from = self._plan.coverage.landed_length
        self._response: Response | None = None
        self._digest: FollowingDigest | None = None
        self._next_record = _FIRST_RECORD
        self._download: Download | None = None

    def execute(self) -> Download:
        """Do it; once."""
        try:
            events: Iterator[Event] = iter((Started(),))
            while self._download is None:
                for action in self._decide(events):
                    events = self._perform(action)
            return self._download
        finally:
            self._helpers.stop()
            self._leave()
            self._stop_digest()
            if self._download is None:
                self._put_by()
            self._partial.close()

    def _decide(self, events: Iterator[Event]) -> tuple[Action, ...]:
        for event in events:
            self._cancellation.check()  # what a shut socket told is no news
            with self._helpers.lock:
                actions = self._plan.receive(event)
            if actions:
                return actions
        raise AssertionError("the last event of each action has consequences")

    def _perform(self, action: Action) -> Iterator[Event]:
        """Do it, and give what happens then; the last action of each batch gives events."""
        match action:
            case Ask():
                return self._ask(action)
            case Discard():
                self._stop_digest()
                self._partial.discard()
                self._resumed_from = 0
                self._next_record = _FIRST_RECORD
            case Record():
                self._begin()
            case Land():
                return self._land()
            case Pause(seconds):
                self._leave()
                self._cancellation.sleep(seconds)
                return iter((PauseEnded(),))
            case Wait():
                return self._wait()
            case Verify():
                return iter((self._measure(),))
            case Finish():
                self._publish(action)
            case Fail(error, keep):
                self._keep = self._keep and keep
                raise error
            case _:
                assert_never(action)
        return iter(())

    def _open_partial(self) -> Partial:
        label, url = self._destination.label(self._url), str(self._url)
        directory = self._destination.directory
        for attempt in range(1, 1000):
            try:
                return Partial(directory, label if attempt == 1 else f"{label}.{attempt}", url)
            except Busy:
                # Runs with unique names never meet at the end, so they may go side by side.
                # No later run would look for what this one leaves.
                if not self._destination.is_unique:
                    raise
                self._keep = False
        raise Busy(f"a thousand runs are downloading this URL to {directory}")

    def _ask(self, ask: Ask) -> Iterator[Event]:
        self._leave()
        try:
            response = self._transport.fetch(self._url, ask.fields, self._authorization)
        except ConnectionLost as exc:
            yield Disconnected(str(exc), was_connected=not isinstance(exc, Unreachable))
            return
        self._response = response
        if response.head.status == 200:  # what helpers fetch may be of something else
            self._helpers.stop()
        yield HeadReceived(describe(response))

    def _begin(self) -> None:
        """Settle the name and the digests, now that it is known whose bytes will land."""
        if self._response is not None and self._response.head.status == 200:
            fields = self._response.head.fields
            self._suggested_name = self._destination.suggested_name(self._url, fields)
        if not self._destination.is_unique:
            refuse_taken(self._destination.target(self._name), force=self._force)
        self._refuse_too_long(self._plan.representation.complete_length or 0)
        self._follow()
        self._report()

    def _refuse_too_long(self, length: int) -> None:
        if self._max_length is not None and length > self._max_length:
            self._keep = False
            raise LengthExceeded(self._max_length, length)

    def _land(self) -> Iterator[Event]:
        assert self._response is not None, "content comes after a head"
        content = self._response.content
        with Landing(self._partial, self._throttle) as landing:
            while True:
                with self._helpers.lock:
                    room = self._plan.room
                if not room.length:
                    yield Relieved()
                    return
                try:
                    count = landing.land(content, room)
                except ConnectionLost as exc:
                    yield Disconnected(str(exc), was_connected=True)
                    return
                except MalformedContent as exc:
                    yield ContentMalformed(str(exc))
                    return
                if count == 0:
                    yield ContentEnded()
                    return
                yield Landed(Span(room.start, room.start + count))
                self._note_landed()
                self._helpers.adjust(self._response.url, leads=1)

    def _wait(self) -> Iterator[Event]:
        assert self._response is not None, "nobody helps before it is known with what"
        url = self._response.url
        self._leave()
        while self._helpers.wait(_WAIT_SECONDS):
            self._cancellation.check()
            self._note_landed()
            self._helpers.adjust(url, leads=0)
        yield HelpEnded()

    def _note_landed(self) -> None:
        self._follow().advance(self._plan.coverage.front)
        landed = self._plan.coverage.landed_length
        self._refuse_too_long(landed)
        if landed >= self._next_record:
            self._record()
            self._next_record = landed + min(landed // 4, _LONGEST_UNRECORDED)
        self._report()

    def _measure(self) -> Measured:
        self._helpers.stop()
        self._leave()
        length = os.fstat(self._partial.fd).st_size
        return Measured(length, self._follow().finish(length))

    def _publish(self, finish: Finish) -> None:
        target = self._destination.target(self._name)
        self._partial.publish(target, force=self._force)
        sha256 = finish.digests.get("sha-256")
        self._download = Download(
            target, finish.length, sha256.hex() if sha256 else None, self._resumed_from
        )
        self._report()

    @property
    def _name(self) -> str:
        if self._suggested_name is None:
            return self._destination.label(self._url)
        return self._suggested_name

    def _follow(self) -> FollowingDigest:
        """Return the digest that follows by all algorithms there is something to compare to."""
        algorithms = self._wanted.keys() | self._plan.representation.digests.keys()
        if self._digest is None or self._digest.algorithms != algorithms:
            self._stop_digest()
            self._digest = FollowingDigest(self._partial.fd, algorithms)
            self._digest.advance(self._plan.coverage.front)
        return self._digest

    def _stop_digest(self) -> None:
        if self._digest is not None:
            self._digest.stop()
            self._digest = None

    def _leave(self) -> None:
        if self._response is not None:
            self._transport.release(self._response)
            self._response = None

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(
                self._plan.coverage.landed_length, self._plan.representation.complete_length
            )

    def _record(self) -> None:
        self._partial.record(self._name, self._plan.representation, self._plan.landed)

    def _put_by(self) -> None:
        """Leave what has landed to the next run, if there is anything worth it."""
        # The record before this one still holds if this fails, and what went wrong first
        # is what is to be told.
        with suppress(StorageError):
            if self._keep and self._plan.landed:
                self._record()
            else:
                self._partial.remove()
