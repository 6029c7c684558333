"""Producers as people declare them."""

import functools
from collections.abc import AsyncIterator, Generator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import Field

from tailrace.errors import ConfigurationError, InvalidArguments
from tailrace.intake.producers import Command, Producer, Run, producer

if TYPE_CHECKING:
    from decimal import Decimal


def a_run():
    return Run(name="a.txt", media_type=None, scratch=Path("scratch"))


def with_parameters(parameters):
    """Declare a producer with parameters as they are written."""
    names = {"Annotated": Annotated, "Any": Any, "Field": Field, "Literal": Literal}
    exec(f"def made({parameters}):\n    yield b''", names)  # the sentence is ours
    return producer(names["made"])


# --- declaring ------------------------------------------------------------------------------


def test_a_producer_is_called_what_its_function_is_called():
    @producer
    def report():
        """Say how it went.

        In detail.
        """
        yield b"well"

    assert isinstance(report, Producer)
    assert (report.is_deterministic, report.retries, report.at_once) == (False, 0, None)
    assert (report.name, report.file_name_of({})) == ("report", "report")
    assert report.description == "Say how it went.\n\nIn detail."
    assert (report.on_disconnect, report.is_safe) == ("finish", False)


def test_what_is_said_of_it_is_kept():
    @producer(media_type="text/csv", name="r.csv", on_disconnect="cancel", safe=True)
    async def report():
        yield b""

    assert (report.media_type_of({}), report.file_name_of({})) == ("text/csv", "r.csv")
    assert (report.on_disconnect, report.is_safe) == ("cancel", True)


def test_a_producer_can_still_be_called_as_a_function():
    @producer
    def repeated(text: str, times: int = 2):
        for _ in range(times):
            yield text.encode()

    assert list(repeated("a", times=3)) == [b"a", b"a", b"a"]
    assert list(repeated.call({"text": "b", "times": 1}, a_run())) == [b"b"]


def test_a_parameter_for_the_run_gets_it_and_is_not_asked_for():
    @producer
    def report(month: str, run: Run):
        yield month.encode()
        yield run.name.encode()

    assert report.validate({"month": "May"}) == {"month": "May"}
    assert list(report.arguments.model_json_schema()["properties"]) == ["month"]
    with pytest.raises(InvalidArguments):
        report.validate({"month": "May", "run": "x"})
    assert list(report.call({"month": "May"}, a_run())) == [b"May", b"a.txt"]


def returns_bytes():
    return b""


async def is_a_coroutine():
    return b""


def test_only_what_is_called_to_do_all_the_work_blocks():
    assert producer(returns_bytes).blocks
    assert not any(producer(each).blocks for each in (is_a_coroutine, untold, async_bytes))


@pytest.mark.parametrize("function", [bytes, lambda: b"", 3])
def test_what_is_no_function_with_a_name_is_no_producer(function):
    with pytest.raises(ConfigurationError, match="must be a function with a name"):
        producer(function)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mediatype": "text/plain"}, "no option 'mediatype'; there are: media_type"),
        ({"at_once": 0}, "at_once must be at least 1"),
        ({"retries": -1}, "retries must be at least 0"),
        ({"length_limit": 0}, "length_limit must be at least 1"),
        ({"time_limit": timedelta(0)}, "time_limit must be positive"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options, words):
    with pytest.raises(ConfigurationError, match=words):
        producer(returns_bytes, **options)


@pytest.mark.parametrize("parameters", ["*rest", "**rest", "a, /"])
def test_a_parameter_that_a_request_cannot_name_is_refused(parameters):
    with pytest.raises(ConfigurationError, match="name of its own"):
        with_parameters(parameters)


def test_a_parameter_that_a_request_cannot_give_is_refused():
    class Connection:
        pass

    def export(connection: Connection):
        yield b""

    with pytest.raises(
        ConfigurationError, match=r"export .*Connection.*: give every parameter"
    ):
        producer(export)


def test_a_hint_that_names_what_is_not_there_is_refused():
    def export(price: "Decimal"):
        yield b""

    with pytest.raises(ConfigurationError, match="'Decimal' is not defined"):
        producer(export)


def test_a_function_without_a_name_is_refused():
    def export(price):
        yield b""

    with pytest.raises(ConfigurationError):
        producer(functools.partial(export, price=1))


@pytest.mark.parametrize("media_type", ["csv", "text/", "text/plain; x", "text/é", ""])
def test_a_media_type_that_is_none_is_refused(media_type):
    def export():
        yield b""

    with pytest.raises(ConfigurationError, match="the producer export: "):
        producer(media_type=media_type)(export)


# --- names and types of what is made --------------------------------------------------------


def test_name_and_type_can_follow_from_the_arguments():
    @producer(
        name=lambda arguments: f"{arguments['table']}.csv",
        media_type=lambda arguments: f"text/csv;header={arguments['header']}",
    )
    def export(table: str, header: str):
        yield b""

    arguments = export.validate({"table": "users", "header": "absent"})
    assert export.file_name_of(arguments) == "users.csv"
    assert export.media_type_of(arguments) == "text/csv;header=absent"


@pytest.mark.parametrize("kind", ["", "plain\r\nSet-Cookie: a=b", "plain; x", "é"])
def test_a_media_type_that_is_none_is_not_told_of_a_run_either(kind):
    @producer(media_type=lambda arguments: f"text/{arguments['kind']}")
    def export(kind: str):
        yield b""

    with pytest.raises(ValueError, match="the producer export: "):
        export.media_type_of(export.validate({"kind": kind}))


def test_the_type_follows_from_the_name():
    @producer(name="a.csv")
    def fixed():
        yield b""

    @producer(name=lambda arguments: f"a.{arguments['format']}")
    def chosen(format: str):
        yield b""

    assert fixed.media_type_of({}) == "text/csv"
    assert chosen.media_type_of({"format": "pdf"}) == "application/pdf"


def sync_bytes() -> Iterator[bytes]:
    yield b""


def generator_of_bytes() -> Generator[bytes, None, None]:
    yield b""


async def async_bytes() -> AsyncIterator[bytes]:
    yield b""


def untold():
    yield b""


def bare() -> Iterator:
    yield b""


def records() -> Iterator[dict[str, int]]:
    yield {}


async def async_records() -> "AsyncIterator[dict[str, int]]":
    yield {}


def a_path() -> Path:
    return Path("a")


def a_path_or_bytes() -> Path | bytes:
    return b""


async def later_bytes() -> bytes:
    return b""


def a_command() -> Command:
    return Command(["true"])


@pytest.mark.parametrize(
    "function",
    [
        *(sync_bytes, generator_of_bytes, async_bytes, untold, bare),
        *(a_path, a_path_or_bytes, later_bytes, a_command),
    ],
)
def test_what_yields_bytes_or_does_not_say_has_no_type_of_its_own(function):
    assert producer(function).media_type_of({}) == "application/octet-stream"


@pytest.mark.parametrize("function", [records, async_records])
def test_what_says_that_it_yields_something_else_makes_records(function):
    assert producer(function).media_type_of({}) == "application/x-ndjson"
    assert producer(name="a.csv")(function).media_type_of({}) == "application/x-ndjson"
    assert producer(media_type="text/plain")(function).media_type_of({}) == "text/plain"


# --- arguments ------------------------------------------------------------------------------


def test_arguments_are_what_the_hints_say_also_from_the_text_of_a_form():
    chart = with_parameters(
        "title, width: int, ratio: float = 1.5, dark: bool = False,"
        " kind: Literal['bar', 'line'] = 'bar', tags: list[int] = []"
    )
    given = {"title": "t", "width": "640", "dark": "on", "tags": ["1", 2]}
    assert chart.validate(given) == {
        "title": "t",
        "width": 640,
        "ratio": 1.5,
        "dark": True,
        "kind": "bar",
        "tags": [1, 2],
    }


def test_a_default_is_not_shared_between_runs():
    tagged = with_parameters("tags: list[int] = []")
    tagged.validate({})["tags"].append(1)
    assert tagged.validate({}) == {"tags": []}


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({}, ["size"]),
        ({"size": "x"}, ["size"]),
        ({"size": 0}, ["size"]),
        ({"size": 1, "colour": "red"}, ["colour"]),
        ({"size": 1, "argument_size": 2}, ["argument_size"]),
        ({"argument_size": 1}, ["size", "argument_size"]),
        ({"size": 1, "sizes": [1, "x"]}, ["sizes.1"]),
        ({"size": "x", "sizes": 3}, ["size", "sizes"]),
    ],
)
def test_each_field_that_is_missing_wrong_or_unknown_is_named(given, fields):
    sized = with_parameters("size: Annotated[int, Field(ge=1)], sizes: list[int] = []")
    with pytest.raises(InvalidArguments) as refusal:
        sized.validate(given)
    assert [error["field"] for error in refusal.value.errors] == fields
    assert all(error["detail"] for error in refusal.value.errors)


def test_a_validators_own_words_are_told_as_they_are():
    from pydantic import AfterValidator

    def even(number):
        if number % 2:
            raise ValueError("it must be even")
        return number

    @producer
    def pairs(number: Annotated[int, AfterValidator(even)]):
        yield b""

    with pytest.raises(InvalidArguments) as refusal:
        pairs.validate({"number": 3})
    assert refusal.value.errors == [{"field": "number", "detail": "it must be even"}]


# pydantic's models have attributes and methods of these names, or refuse them.
@pytest.mark.parametrize(
    "name",
    "schema json copy dict validate model_config model_fields model_dump model_validate"
    " model_name _private __x self cls été".split(),
)
def test_a_parameter_may_have_any_name(name):
    named = with_parameters(f"{name}: int = 1")
    assert named.validate({}) == {name: 1}
    assert named.validate({name: "7"}) == {name: 7}
    assert list(named.arguments.model_json_schema()["properties"]) == [name]


def test_the_form_is_told_as_a_json_schema():
    chart = with_parameters("title: str, width: Annotated[int, Field(ge=1)] = 640")
    assert chart.arguments.model_json_schema() == {
        "type": "object",
        "title": "made",
        "properties": {
            "title": {"type": "string", "title": "Title"},
            "width": {"type": "integer", "minimum": 1, "default": 640, "title": "Width"},
        },
        "required": ["title"],
        "additionalProperties": False,
    }
