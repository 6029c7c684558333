import json
import re
from collections import UserList
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace import errors
from tailrace.protocol import problems
from tailrace.protocol.problems import Problem

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "problems.json").read_text())
vectors = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
MEMBERS = {"type", "title", "status", "detail", "instance"}  # RFC 9457 §3.1

texts = st.text(st.characters())  # with lone surrogates


def error_of(vector):
    name, *arguments = vector["error"]
    return getattr(errors, name)(*arguments)


@vectors
def test_an_error_has_the_problem_of_its_class_or_the_nearest_above(vector):
    problem = problems.problem_for(error_of(vector))
    assert problem.status == vector["status"]
    assert problem.type == vector["type"]
    assert problem.extensions == vector["extensions"]


@vectors
def test_the_detail_is_what_the_error_says_unless_that_is_our_own_affair(vector):
    error = error_of(vector)
    problem = problems.problem_for(error)
    is_our_affair = problem.status >= 500 or isinstance(error, errors.StorageError)
    if "detail" in vector:
        assert problem.detail == vector["detail"]
    elif is_our_affair:
        assert "/" not in problem.detail
        assert str(error) not in problem.detail
    elif str(error):
        assert problem.detail == str(error)
    assert problem.detail


def test_types_are_stable_urns():
    for vector in VECTORS:
        problem = problems.problem_for(error_of(vector))
        assert re.fullmatch(r"urn:tailrace:[a-z]+(-[a-z]+)*", problem.type)
        assert problem.title


def test_extension_members_have_names_that_every_format_can_hold():
    """RFC 9457 §4: ALPHA, DIGIT and "_", three characters or longer."""
    for vector in VECTORS:
        for member in problems.problem_for(error_of(vector)).extensions:
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{2,}", member)
            assert member not in MEMBERS


def test_one_type_has_one_status_and_one_title():
    seen = {}
    for vector in VECTORS:
        problem = problems.problem_for(error_of(vector))
        known = seen.setdefault(problem.type, (problem.status, problem.title))
        assert known == (problem.status, problem.title)


def test_a_problem_is_written_as_json():
    problem = Problem(409, "urn:tailrace:x", "Title", "Détail", {"expected": 100})
    assert problem.to_json() == (
        b'{"type": "urn:tailrace:x", "title": "Title", "status": 409,'
        b' "detail": "D\xc3\xa9tail", "expected": 100}'
    )
    assert problems.MEDIA_TYPE == "application/problem+json"


def test_facts_may_be_any_mapping_and_any_sequence():
    errors_found = (MappingProxyType({"field": "a", "detail": "b"}),)
    content = problems.problem_for(errors.InvalidArguments(errors_found)).to_json()
    assert json.loads(content)["errors"] == [{"field": "a", "detail": "b"}]
    content = problems.problem_for(errors.ProducerNotKnown("a", UserList(["b"]))).to_json()
    assert json.loads(content)["known"] == ["b"]


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(TypeError, match="cannot be a member"):
        Problem(400, "urn:tailrace:x", "a", "b", {"fact": object()}).to_json()


def test_405_tells_what_is_allowed():
    problem = problems.method_not_allowed("BREW", ["GET", "HEAD"])
    assert (problem.status, problem.type) == (405, "urn:tailrace:method-not-allowed")
    assert problem.extensions == {"allowed": ["GET", "HEAD"]}
    assert problem.detail == "BREW is not allowed here; use GET or HEAD."


def test_412_is_a_problem_of_its_own():
    problem = problems.PRECONDITION_FAILED
    assert (problem.status, problem.type) == (412, "urn:tailrace:precondition-failed")


def test_416_tells_the_length():
    problem = problems.range_not_satisfiable(526, 526)
    assert (problem.status, problem.type) == (416, "urn:tailrace:range-not-satisfiable")
    assert problem.extensions == {"length": 526, "complete_length": 526}


def test_416_of_a_growing_file_tells_the_length_so_far():
    assert problems.range_not_satisfiable(526, None).extensions == {"length": 526}


@given(st.integers(400, 599), texts, texts, texts)
def test_a_problem_that_is_written_is_read_back(status, title, detail, fact):
    content = Problem(status, "urn:tailrace:x", title, detail, {"fact": fact}).to_json()
    read = json.loads(content)
    assert read["status"] == status
    for member, text in (("title", title), ("detail", detail), ("fact", fact)):
        # A lone surrogate cannot be sent; all else is.
        assert read[member] == re.sub("[\ud800-\udfff]", "?", text)
