import pytest

from tailrace.client.moves import Framing, Head, Patience

PATIENCE = Patience(tries=4, first_pause_seconds=0.5, longest_pause_seconds=10)


@pytest.mark.parametrize(
    ("failures", "asked", "seconds"),
    [
        (1, None, 0.5),
        (2, None, 1.0),
        (3, None, 2.0),
        (4, None, None),
        (1, 0.0, 0.0),
        (1, 10.0, 10.0),
        (1, 10.1, None),
        (4, 0.0, None),
    ],
)
def test_patience_grows_and_ends(failures, asked, seconds):
    assert PATIENCE.pause_seconds(failures, asked) == seconds


@pytest.mark.parametrize(
    ("reason", "problem", "retry_after", "message"),
    [
        ("Not Found", None, None, "the server answered 404 Not Found"),
        ("", None, None, "the server answered 404"),
        ("", {"detail": "why"}, None, "the server answered 404: why"),
        ("", {"title": "what", "detail": "why"}, None, "the server answered 404: why"),
        ("", {"title": "what"}, None, "the server answered 404: what"),
        ("", {"detail": 5}, None, "the server answered 404"),
        ("", None, 7.0, "the server answered 404, to be asked again in 7 s"),
    ],
)
def test_a_refusal_says_what_the_server_said(reason, problem, retry_after, message):
    head = Head(404, reason, Framing.LENGTH, 0, None, None, {}, None, retry_after, problem)
    refusal = head.refusal()
    assert str(refusal) == message
    assert (refusal.status, refusal.problem) == (404, problem)
