"""The plan against a model of a server that cuts, changes and lies."""

from dataclasses import dataclass, field
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.client import plan as plan_module
from tailrace.client.moves import (
    Ask,
    ContentEnded,
    ContentMalformed,
    Discard,
    Disconnected,
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
from tailrace.client.plan import TABLE, Plan, State
from tailrace.errors import (
    ConnectionLost,
    DigestMismatch,
    LengthMismatch,
    MalformedContent,
    Refused,
    RepresentationChanged,
    TailraceError,
    TransferError,
)
from tailrace.protocol.ranges import ContentRange
from tailrace.protocol.validators import EntityTag
from tailrace.spans import Span

TAG = EntityTag("one")
OTHER_TAG = EntityTag("two")
WEAK_TAG = EntityTag("one", weak=True)
PATIENCE = Patience(tries=3, first_pause_seconds=1.0, longest_pause_seconds=60.0)


def head(status=200, **said):
    """A head that says these things and nothing else."""
    length = said.pop("content_length", None)
    return HeadReceived(
        Head(
            status=status,
            reason=said.pop("reason", ""),
            framing=said.pop("framing", Framing.CLOSE if length is None else Framing.LENGTH),
            content_length=length,
            content_range=said.pop("content_range", None),
            entity_tag=said.pop("entity_tag", None),
            digests=said.pop("digests", {}),
            content_coding=said.pop("content_coding", None),
            retry_after_seconds=said.pop("retry_after_seconds", None),
            problem=said.pop("problem", None),
        )
    )


def part(start, stop, complete_length, **said):
    said.setdefault("entity_tag", TAG)
    said.setdefault("content_length", stop - start)
    content_range = ContentRange(Span(start, stop), complete_length)
    return head(206, content_range=content_range, **said)


def plan_of(held=None, wanted=None, patience=PATIENCE):
    return Plan(wanted=wanted or {}, held=held, patience=patience)


def held(stop, complete_length=10, entity_tag=TAG, digests=None):
    representation = Representation(entity_tag, complete_length, digests or {})
    return Held(representation, (Span(0, stop),))


def walk(plan, *events):
    """Tell the plan of events, and return its last actions."""
    actions = ()
    for event in events:
        actions = plan.receive(event)
    return actions


CUT = Disconnected("cut", was_connected=True)


# --- what is asked ------------------------------------------------------------------------


def test_a_new_download_asks_for_the_whole():
    assert walk(plan_of(), Started()) == (Ask(0, None),)


def test_a_whole_is_landed_verified_and_finished():
    plan = plan_of()
    discard, record, land = walk(plan, Started(), head(content_length=10, entity_tag=TAG))
    assert isinstance(discard, Discard)
    assert record == Record(Representation(TAG, 10, {}))
    assert land == Land(0)
    (verify,) = walk(plan, Landed(Span(0, 10)), ContentEnded())
    assert verify == Verify(frozenset())
    assert walk(plan, Measured(10, {})) == (Finish(10, {}),)
    assert plan.state is State.FINISHED


def test_an_empty_file_is_finished():
    plan = plan_of()
    walk(plan, Started(), head(content_length=0), ContentEnded())
    assert walk(plan, Measured(0, {})) == (Finish(0, {}),)


def test_what_an_earlier_run_left_is_resumed_with_if_range():
    assert walk(plan_of(held(4)), Started()) == (Ask(4, TAG),)


def test_a_gap_is_where_a_resumed_download_goes_on():
    spans = Held(Representation(TAG, 10, {}), (Span(0, 3), Span(5, 8)))
    assert walk(plan_of(spans), Started()) == (Ask(3, TAG, 5),)


def test_without_a_strong_tag_or_a_digest_nothing_is_resumed():
    assert walk(plan_of(held(4, entity_tag=None)), Started()) == (Ask(0, None),)


def test_a_weak_tag_is_never_sent_in_if_range():
    plan = plan_of()
    walk(plan, Started(), head(content_length=10, entity_tag=WEAK_TAG))
    walk(plan, Landed(Span(0, 4)), CUT)
    assert walk(plan, PauseEnded()) == (Ask(0, None),)


def test_a_wanted_digest_lets_resume_without_a_tag():
    plan = plan_of(held(4, entity_tag=None), wanted={"sha-256": b"d"})
    assert walk(plan, Started()) == (Ask(4, None),)


def test_a_cut_is_resumed_where_it_happened():
    plan = plan_of()
    (pause,) = walk(
        plan,
        Started(),
        head(content_length=10, entity_tag=TAG),
        Landed(Span(0, 4)),
        CUT,
    )
    assert pause == Pause(1.0)
    assert walk(plan, PauseEnded()) == (Ask(4, TAG),)
    assert walk(plan, part(4, 10, 10)) == (Record(Representation(TAG, 10, {})), Land(4))


# --- which answers are trusted ------------------------------------------------------------

UNTRUSTED_PARTS = {
    "another entity tag": part(4, 10, 10, entity_tag=OTHER_TAG),
    "no entity tag": part(4, 10, 10, entity_tag=None),
    "a weak entity tag": part(4, 10, 10, entity_tag=WEAK_TAG),
    "another start": part(3, 10, 10),
    "another complete length": part(4, 11, 11),
    "a Content-Length that is not the part's": part(4, 10, 10, content_length=5),
    "no Content-Range": head(206, content_length=6, entity_tag=TAG),
    "a 416 of another length": head(416, content_range=ContentRange.unsatisfied(9)),
    "a 416 without Content-Range": head(416),
}


@pytest.mark.parametrize("answer", UNTRUSTED_PARTS.values(), ids=UNTRUSTED_PARTS)
def test_an_answer_to_a_range_request_that_cannot_be_trusted_leads_to_the_whole(answer):
    plan = plan_of(held(4))
    assert walk(plan, Started(), answer) == (Ask(0, None),)


def test_ranges_that_came_wrong_are_not_asked_for_again():
    plan = plan_of(held(4))
    walk(plan, Started(), part(3, 10, 10), head(content_length=10, entity_tag=TAG))
    assert walk(plan, Landed(Span(0, 5)), CUT, PauseEnded()) == (Ask(0, None),)


def test_a_200_to_a_range_request_starts_over():
    plan = plan_of(held(4))
    actions = walk(plan, Started(), head(content_length=7, entity_tag=OTHER_TAG))
    assert isinstance(actions[0], Discard)
    assert actions[2] == Land(0)
    assert plan.landed == ()


def test_what_has_landed_stays_until_the_whole_really_comes():
    plan = plan_of(held(4))
    walk(plan, Started(), part(3, 10, 10), CUT)
    assert plan.landed == (Span(0, 4),)


def test_a_part_shorter_than_what_was_asked_is_followed_by_the_next():
    plan = plan_of(held(4))
    walk(plan, Started(), part(4, 6, 10), Landed(Span(4, 6)))
    assert walk(plan, ContentEnded()) == (Ask(6, TAG),)


def test_a_416_at_the_length_that_is_held_means_that_it_is_whole():
    plan = plan_of(held(10))
    (verify,) = walk(plan, Started(), head(416, content_range=ContentRange.unsatisfied(10)))
    assert verify == Verify(frozenset())


def test_a_416_of_an_unknown_file_is_proved_by_the_last_byte():
    plan = plan_of(held(10, complete_length=None))
    unsatisfied = head(416, content_range=ContentRange.unsatisfied(10))
    assert walk(plan, Started(), unsatisfied) == (Ask(9, TAG),)
    walk(plan, part(9, 10, 10), Landed(Span(9, 10)))
    assert walk(plan, ContentEnded()) == (Verify(frozenset()),)


def test_a_206_that_was_not_asked_for_fails():
    (fail,) = walk(plan_of(), Started(), part(0, 10, 10))
    assert isinstance(fail.error, Refused)


def test_a_content_coding_that_was_not_asked_for_fails():
    (fail,) = walk(plan_of(), Started(), head(content_length=5, content_coding="gzip"))
    assert isinstance(fail.error, TransferError)
    assert "'gzip'" in str(fail.error)


def test_content_beyond_the_part_is_proved_wrong():
    plan = plan_of(held(4))
    chunked = part(4, 10, 10, content_length=None, framing=Framing.CHUNKED)
    (fail,) = walk(plan, Started(), chunked, Landed(Span(4, 11)))
    assert isinstance(fail.error, LengthMismatch)
    assert not fail.keep


def test_of_malformed_content_nothing_is_kept():
    plan = plan_of(held(4))
    walk(plan, Started(), part(4, 10, 10), Landed(Span(4, 8)))
    (fail,) = walk(plan, ContentMalformed("no chunk"))
    assert isinstance(fail.error, MalformedContent)
    assert plan.landed == (Span(0, 4),)


# --- where the end is ---------------------------------------------------------------------


def test_an_orderly_end_before_the_length_is_a_cut():
    plan = plan_of()
    walk(plan, Started(), head(content_length=10, entity_tag=TAG), Landed(Span(0, 4)))
    assert walk(plan, ContentEnded()) == (Pause(1.0),)


def test_the_end_of_chunked_content_is_the_end_of_the_file():
    plan = plan_of()
    walk(plan, Started(), head(framing=Framing.CHUNKED, entity_tag=TAG), Landed(Span(0, 4)))
    walk(plan, ContentEnded())
    assert walk(plan, Measured(4, {})) == (Finish(4, {}),)


def test_a_close_proves_no_end():
    plan = plan_of()
    (fail,) = walk(plan, Started(), head(), Landed(Span(0, 4)), ContentEnded())
    assert isinstance(fail.error, TransferError)


def test_a_digest_proves_the_end_that_a_close_does_not():
    plan = plan_of(wanted={"sha-256": b"d"})
    (verify,) = walk(plan, Started(), head(), Landed(Span(0, 4)), ContentEnded())
    assert verify == Verify(frozenset({"sha-256"}))


@pytest.mark.parametrize("last", [999_999_999_999, 2**53 - 1], ids=["RFC 8673", "ours"])
def test_a_followed_part_ends_where_its_content_ends(last):
    # RFC 8673 §2.2: a very large last position, and the end is where the content ends.
    plan = plan_of(held(4, complete_length=None))
    followed = part(4, last + 1, None, content_length=None, framing=Framing.CHUNKED)
    walk(plan, Started(), followed, Landed(Span(4, 9)), ContentEnded())
    assert walk(plan, Measured(9, {})) == (Finish(9, {}),)


def test_after_a_piece_of_something_of_unknown_length_more_is_asked_for():
    plan = plan_of(held(4, complete_length=None))
    walk(plan, Started(), part(4, 7, None), Landed(Span(4, 7)))
    assert walk(plan, ContentEnded()) == (Ask(7, TAG),)


# --- proof --------------------------------------------------------------------------------


def test_a_digest_of_the_server_is_verified():
    plan = plan_of()
    walk(plan, Started(), head(content_length=4, digests={"sha-256": b"right"}))
    walk(plan, Landed(Span(0, 4)), ContentEnded())
    (fail,) = walk(plan, Measured(4, {"sha-256": b"wrong"}))
    assert isinstance(fail.error, DigestMismatch)
    assert not fail.keep


def test_a_digest_offered_only_with_the_part_is_verified():
    plan = plan_of(held(4))
    walk(plan, Started(), part(4, 10, 10, digests={"sha-512": b"right"}))
    (verify,) = walk(plan, Landed(Span(4, 10)), ContentEnded())
    assert verify == Verify(frozenset({"sha-512"}))


def test_a_part_with_another_digest_is_of_another_file():
    plan = plan_of(held(4, entity_tag=None, digests={"sha-256": b"one"}))
    other = part(4, 10, 10, entity_tag=None, digests={"sha-256": b"two"})
    assert walk(plan, Started(), other) == (Ask(0, None),)


def test_a_digest_that_is_not_the_wanted_one_fails_before_any_byte():
    plan = plan_of(wanted={"sha-256": b"wanted"})
    (fail,) = walk(plan, Started(), head(content_length=4, digests={"sha-256": b"other"}))
    assert isinstance(fail.error, DigestMismatch)


def test_a_file_that_is_not_as_long_on_the_disk_fails():
    plan = plan_of()
    walk(plan, Started(), head(content_length=4), Landed(Span(0, 4)), ContentEnded())
    (fail,) = walk(plan, Measured(3, {}))
    assert isinstance(fail.error, LengthMismatch)


# --- trouble ------------------------------------------------------------------------------


def test_pauses_double_and_end_after_so_many_tries():
    plan = plan_of()
    assert walk(plan, Started(), CUT) == (Pause(1.0),)
    assert walk(plan, PauseEnded(), CUT) == (Pause(2.0),)
    (fail,) = walk(plan, PauseEnded(), CUT)
    assert isinstance(fail.error, ConnectionLost)
    assert fail.keep


def test_each_new_byte_renews_the_patience():
    plan = plan_of()
    walk(plan, Started(), CUT, PauseEnded(), CUT, PauseEnded())
    walk(plan, head(content_length=10, entity_tag=TAG), Landed(Span(0, 1)))
    assert walk(plan, CUT) == (Pause(1.0),)


def test_an_address_where_nobody_answers_fails_at_once():
    (fail,) = walk(plan_of(), Started(), Disconnected("refused", was_connected=False))
    assert isinstance(fail.error, ConnectionLost)


def test_a_server_that_went_away_meanwhile_is_waited_for():
    plan = plan_of()
    walk(plan, Started(), head(content_length=10, entity_tag=TAG), CUT, PauseEnded())
    assert walk(plan, Disconnected("refused", was_connected=False)) == (Pause(2.0),)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_status_that_may_pass_is_waited_for(status):
    assert walk(plan_of(), Started(), head(status)) == (Pause(1.0),)


def test_retry_after_is_honoured():
    assert walk(plan_of(), Started(), head(503, retry_after_seconds=7)) == (Pause(7),)


def test_nobody_waits_for_an_hour():
    (fail,) = walk(plan_of(), Started(), head(503, retry_after_seconds=3600))
    assert isinstance(fail.error, Refused)
    assert "3600 s" in str(fail.error)


@pytest.mark.parametrize("status", [204, 304, 400, 401, 403, 404, 410, 416])
def test_any_other_status_fails_at_once(status):
    (fail,) = walk(plan_of(), Started(), head(status))
    assert isinstance(fail.error, Refused)
    assert fail.error.status == status


def test_a_refusal_tells_what_the_server_said():
    problem = {"title": "Gone", "detail": "the link has expired"}
    (fail,) = walk(plan_of(), Started(), head(410, reason="Gone", problem=problem))
    assert str(fail.error) == "the server answered 410 Gone: the link has expired"
    assert fail.error.problem == problem


def test_a_failure_says_where_it_stood_and_how_to_resume():
    plan = plan_of(held(4), patience=Patience(tries=1))
    (fail,) = walk(plan, Started(), CUT)
    assert "4 of 10 bytes are here" in str(fail.error)
    assert "again to resume" in str(fail.error)


def test_nobody_is_told_to_resume_what_cannot_be():
    plan = plan_of(patience=Patience(tries=1))
    (fail,) = walk(plan, Started(), head(content_length=10), Landed(Span(0, 4)), CUT)
    assert "resume" not in str(fail.error)


def test_a_file_that_changes_more_often_than_it_comes_fails():
    plan = plan_of()
    walk(plan, Started(), head(content_length=10, entity_tag=EntityTag("0")))
    for turn in range(1, 10):
        walk(plan, Landed(Span(0, 4)), CUT, PauseEnded())
        (*_, last) = walk(plan, head(content_length=10, entity_tag=EntityTag(str(turn))))
        if isinstance(last, Fail):
            break
    assert isinstance(last.error, RepresentationChanged)


def test_a_server_that_cannot_resume_and_always_cuts_is_given_up():
    plan = plan_of()
    walk(plan, Started(), head(content_length=10))
    for _ in range(10):
        walk(plan, Landed(Span(0, 4)), CUT, PauseEnded())
        (*_, last) = walk(plan, head(content_length=10))
        if isinstance(last, Fail):
            break
    assert isinstance(last.error, ConnectionLost)


# --- the machine --------------------------------------------------------------------------


def test_each_state_is_in_the_table_and_in_the_drawing():
    assert set(TABLE) == set(State)
    for state in State:
        assert state.name in plan_module.__doc__


def test_each_state_can_be_reached_and_left():
    reached = {
        after for steps in TABLE.values() for _, states in steps.values() for after in states
    }
    assert reached == set(State) - {State.READY}
    assert {state for state in State if not TABLE[state]} == {State.FINISHED, State.FAILED}


def test_what_cannot_happen_is_refused():
    with pytest.raises(ValueError, match="ready"):
        plan_of().receive(ContentEnded())


# --- right or loud ------------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """What the URL names for some time."""

    content: bytes
    entity_tag: EntityTag | None
    has_digest: bool

    @property
    def digests(self):
        return {"sha-256": sha256(self.content).digest()} if self.has_digest else {}


@dataclass(frozen=True)
class Answer:
    """How the server answers one request, and what becomes of the connection."""

    version: int
    kind: str
    framing: Framing
    cut_after: int | None
    step: int
    number: int


@dataclass
class World:
    """A file on a disk, and a server that goes by a script, and is honest after it."""

    versions: list[Version]
    script: list[Answer]
    disk: bytearray = field(default_factory=bytearray)
    asked: list[Ask] = field(default_factory=list)
    snapshots: list[Held] = field(default_factory=list)

    def run(self, plan, stop_after=None):
        """Perform what the plan says; return its last action, or None where killed."""
        actions, content, count = plan.receive(Started()), iter(()), 0
        while True:
            for action in actions:
                match action:
                    case Ask():
                        event, content = self._answer(action)
                        events = iter((event,))
                    case Discard():
                        self.disk.clear()
                        self.snapshots.clear()
                    case Record():
                        pass
                    case Land(start):
                        events = self._land(start, content)
                    case Pause():
                        events = iter((PauseEnded(),))
                    case Verify(algorithms):
                        digests = {name: sha256(self.disk).digest() for name in algorithms}
                        events = iter((Measured(len(self.disk), digests),))
                    case Finish():
                        return action
                    case Fail(_, keep):
                        left = Held(plan.representation, plan.landed)
                        self.snapshots = [left] if keep and plan.landed else []
                        return action
            for event in events:
                count += 1
                assert count < 3000, "it never ends"
                if count == stop_after:
                    return None
                actions = plan.receive(event)
                if plan.landed:
                    self.snapshots.append(Held(plan.representation, plan.landed))
                if actions:
                    break

    def _land(self, start, content):
        for event in content:
            if isinstance(event, bytes):
                stop = start + len(event)
                self.disk.extend(bytes(max(0, start - len(self.disk))))
                self.disk[start:stop] = event
                yield Landed(Span(start, stop))
                start = stop
            else:
                yield event

    def _answer(self, ask):
        """Return the event that the head is, and an iterator of what follows it."""
        self.asked.append(ask)
        last = len(self.versions) - 1
        answer = Answer(last, "honest", Framing.LENGTH, None, 7, 0)
        if self.script:
            answer = self.script.pop(0)
        version = self.versions[min(answer.version, last)]
        match answer.kind:
            case "unreachable":
                return Disconnected("refused", was_connected=False), iter(())
            case "cut before the head":
                return CUT, iter(())
            case "status":
                status = (404, 500, 503, 204)[answer.number % 4]
                return head(status, retry_after_seconds=answer.number % 3), iter(())
            case "coded":
                return head(content_length=3, content_coding="gzip"), iter((b"zip",))
            case "any 416":
                number = answer.number if answer.number % 4 == 0 else ask.start
                return head(416, content_range=ContentRange.unsatisfied(number)), iter(())
        return self._content(ask, answer, version)

    def _content(self, ask, answer, version):
        whole, tag, length = version.content, version.entity_tag, len(version.content)
        tags_agree = ask.entity_tag in (None, tag)
        wants_part = ask.start > 0 and answer.kind != "range ignored"
        if wants_part and (tags_agree or answer.kind in LIES_ABOUT_PARTS):
            if ask.start >= length:
                unsatisfied = ContentRange.unsatisfied(length)
                return head(416, content_range=unsatisfied, entity_tag=tag), iter(())
            start, stop, complete = ask.start, length, length
            said = ContentRange(Span(start, stop), complete)
            match answer.kind:
                case "less than asked":
                    stop = min(start + 1 + answer.number, stop)
                    said = ContentRange(Span(start, stop), complete)
                case "another start":
                    wrong = answer.number % start
                    said = ContentRange(Span(wrong, wrong + stop - start), complete)
                case "another complete length":
                    said = ContentRange(Span(start, stop), length + answer.number)
                case "no tag":
                    tag = None
                case "followed":
                    said = ContentRange(Span(start, 2**53), None)
                case "a piece of the unknown":
                    stop = min(start + 1 + answer.number, stop)
                    said = ContentRange(Span(start, stop), None)
            if answer.kind == "no range said":
                said = None
            content, status = whole[start:stop], 206
        else:
            content, status, said = whole, 200, None
        framing = answer.framing
        if answer.kind in ("followed", "a piece of the unknown"):
            framing = Framing.CHUNKED
        declared = len(content) if framing is Framing.LENGTH else None
        if answer.kind == "polite and short" and not (status == 200 and declared is None):
            content = content[: answer.number]
        event = head(
            status,
            framing=framing,
            content_length=declared,
            content_range=said,
            entity_tag=tag,
            digests=version.digests,
        )
        return event, self._pieces(content, declared, answer, framing)

    def _pieces(self, content, declared, answer, framing):
        cut = answer.cut_after
        sent = content if cut is None else content[:cut]
        for start in range(0, len(sent), answer.step):
            yield sent[start : start + answer.step]
        if answer.kind == "malformed":
            yield ContentMalformed("no chunk")
        elif framing is Framing.CLOSE:
            yield ContentEnded()  # a cut looks like an end
        elif cut is not None or (declared is not None and len(sent) < declared):
            yield CUT
        else:
            yield ContentEnded()


# Each of these breaks a rule in a way that the head or the framing betrays.
LIES_ABOUT_PARTS = (
    "if-range ignored",
    "another start",
    "another complete length",
    "no tag",
    "no range said",
)
KINDS = (
    "honest",
    "honest",
    "unreachable",
    "cut before the head",
    "status",
    "coded",
    "any 416",
    "any 416",
    "range ignored",
    "less than asked",
    "followed",
    "a piece of the unknown",
    "a piece of the unknown",
    "polite and short",
    "polite and short",
    "malformed",
    *LIES_ABOUT_PARTS,
    *LIES_ABOUT_PARTS,
)

# A run that holds nothing yet has nothing to lose, so most scripts begin with a cut.
first_cuts = st.builds(
    Answer,
    version=st.just(0),
    kind=st.just("honest"),
    framing=st.sampled_from([Framing.LENGTH, Framing.CHUNKED]),
    cut_after=st.integers(4, 20),
    step=st.just(4),
    number=st.just(0),
)
answers = st.builds(
    Answer,
    version=st.integers(0, 1),
    kind=st.sampled_from(KINDS),
    framing=st.sampled_from([*[Framing.LENGTH, Framing.CHUNKED] * 2, Framing.CLOSE]),
    cut_after=st.none() | st.integers(0, 8) | st.integers(0, 20),
    step=st.integers(1, 8),
    number=st.integers(0, 24),
)
scripts = st.one_of(
    st.lists(answers, max_size=6),
    *[st.builds(lambda cut, rest: [cut, *rest], first_cuts, st.lists(answers, max_size=3))] * 3,
)


def honest_tags(number):
    strong = EntityTag(str(number))
    return st.sampled_from([strong, strong, strong, WEAK_TAG, WEAK_TAG, None])


def lying_tags(number):
    return st.just(TAG)


@st.composite
def histories(draw, tags=honest_tags):
    """Versions without two equal bytes, so that no mixture of two looks like one.

    Most are of one length, for a change of length is the easier one to see.
    """
    length = draw(st.integers(8, 24))
    return [
        Version(
            bytes(
                range(
                    100 * number, 100 * number + draw(st.sampled_from([*[length] * 5, 12, 0]))
                )
            ),
            draw(tags(number)),
            draw(st.integers(0, 5)) == 0,
        )
        for number in range(2)
    ]


@settings(max_examples=1000)
@given(histories(), scripts)
def test_for_any_cuts_changes_and_lies_the_file_is_one_version_or_the_run_fails(
    versions, script
):
    world = World(versions, list(script))
    outcome = world.run(plan_of())
    if isinstance(outcome, Finish):
        assert bytes(world.disk) in [version.content for version in versions]
        assert outcome.length == len(world.disk)
    else:
        assert isinstance(outcome.error, TailraceError)


@settings(max_examples=1000)
@given(histories(), scripts, scripts, st.integers(1, 60), st.data())
def test_a_run_that_was_killed_is_resumed_right_or_loud(versions, first, second, stop, data):
    world = World(versions, list(first))
    world.run(plan_of(), stop_after=stop)
    # The newest record may be older than what the disk has.
    left = None
    if world.snapshots:
        newest = world.snapshots[-1]
        same = [
            each for each in world.snapshots if each.representation is newest.representation
        ]
        left = data.draw(st.sampled_from(same))
        if not all(span.stop <= len(world.disk) for span in left.landed):
            left = None
    del world.disk[left.landed[-1].stop if left else 0 :]
    world.script = list(second)
    outcome = world.run(plan_of(left))
    if isinstance(outcome, Finish):
        assert bytes(world.disk) in [version.content for version in versions]


@given(histories(tags=lying_tags), scripts)
def test_a_wanted_digest_is_right_or_loud_even_where_tags_lie(versions, script):
    wanted = {"sha-256": sha256(versions[-1].content).digest()}
    world = World(versions, list(script))
    outcome = world.run(plan_of(wanted=wanted))
    if isinstance(outcome, Finish):
        assert bytes(world.disk) == versions[-1].content


@given(st.lists(st.integers(1, 5), max_size=6), st.sampled_from(list(Framing)[:2]))
def test_where_only_cuts_happen_every_byte_comes_once(cuts, framing):
    version = Version(b"abcdefghijklmnopqrstuvwxyz", TAG, has_digest=True)
    script = [Answer(0, "honest", framing, cut, 3, 0) for cut in cuts]
    world = World([version], script)
    outcome = world.run(plan_of())
    assert isinstance(outcome, Finish)
    assert bytes(world.disk) == version.content
    starts = [ask.start for ask in world.asked]
    assert starts == [min(sum(cuts[:turn]), 26) for turn in range(len(starts))]
