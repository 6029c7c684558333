"""Producers as people declare them: a function and what is said of it."""

from __future__ import annotations

import inspect
import os
import typing
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import (
    Any,
    BinaryIO,
    Generic,
    Literal,
    ParamSpec,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from pydantic import BaseModel

from tailrace.errors import ConfigurationError, MalformedField
from tailrace.intake.media_types import guess_media_type
from tailrace.intake.producers.commands import Command
from tailrace.intake.producers.parameters import arguments_of, form_of, hints_of, run_parameter
from tailrace.intake.producers.run import Run
from tailrace.protocol.media_types import parse_media_type

Generated: TypeAlias = Iterator[object] | AsyncIterator[object]
Made: TypeAlias = Generated | bytes | os.PathLike[str] | BinaryIO | Command
"""What makes a file: yields, or something whole."""

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned", bound=Made | Awaitable[Made], covariant=True)

FromArguments: TypeAlias = Callable[[Mapping[str, Any]], str]
"""Tells something of the file from the validated arguments."""

OnDisconnect: TypeAlias = Literal["finish", "cancel"]

RECORDS = "application/x-ndjson"


class Options(TypedDict, total=False):
    """What can be said of a producer; see `producer`."""

    media_type: str | FromArguments
    name: str | FromArguments
    on_disconnect: OnDisconnect
    safe: bool
    deterministic: bool
    at_once: int
    retries: int
    time_limit: timedelta
    length_limit: int


@dataclass(frozen=True, slots=True)
class Producer(Generic[Parameters, Returned]):
    """A function that makes a file: by what it yields, or by what it returns.

    Calling it calls the function.
    """

    name: str
    function: Callable[Parameters, Returned]
    arguments: type[BaseModel]
    run_parameter: str | None
    """The parameter that gets the run."""
    blocks: bool
    """Calling the function may take long."""
    media_type: str | FromArguments | None
    """None is that of the name."""
    file_name: str | FromArguments
    description: str
    on_disconnect: OnDisconnect
    is_safe: bool
    """Making the same again changes nothing, so that GET may run it (RFC 9110 §9.2.1)."""
    is_deterministic: bool
    """The same arguments give the same bytes."""
    at_once: int | None
    retries: int
    time_limit: timedelta | None
    length_limit: int | None

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
        return self.function(*args, **kwargs)

    def validate(self, given: Mapping[str, object]) -> Mapping[str, Any]:
        """Return the arguments as the function takes them.

        Raises:
            InvalidArguments: naming each field that is missing, unknown or wrong.
        """
        return arguments_of(self.arguments, given)

    def declared_media_type(self, arguments: Mapping[str, Any]) -> str | None:
        """Return the media type of the file that such a run makes; None is that of its name.

        Raises:
            ValueError: the producer tells what is none, such as one with a line end in it.
        """
        if self.media_type is None:
            return None
        try:
            return parse_media_type(_told(self.media_type, arguments)).to_field()
        except MalformedField as exc:
            raise ValueError(f"the producer {self.name}: {exc}") from exc

    def media_type_of(self, arguments: Mapping[str, Any]) -> str:
        """Return the media type of the file that such a run makes, as far as is known before.

        Raises:
            ValueError: as `declared_media_type`.
        """
        declared = self.declared_media_type(arguments)
        return declared or guess_media_type(self.file_name_of(arguments))

    def file_name_of(self, arguments: Mapping[str, Any]) -> str:
        return _told(self.file_name, arguments)

    def call(self, arguments: Mapping[str, Any], run: Run) -> object:
        """Call the function with validated arguments, and with its run if it takes one."""
        function: Callable[..., object] = self.function
        if self.run_parameter is None:
            return function(**arguments)
        return function(**arguments, **{self.run_parameter: run})


AnyProducer: TypeAlias = Producer[..., Any]


class Declare(typing.Protocol):
    """What `producer(...)` returns: a decorator."""

    def __call__(
        self, function: Callable[Parameters, Returned], /
    ) -> Producer[Parameters, Returned]: ...


@overload
def producer(
    function: Callable[Parameters, Returned], /, **options: Unpack[Options]
) -> Producer[Parameters, Returned]: ...


@overload
def producer(**options: Unpack[Options]) -> Declare: ...


def producer(
    function: Callable[..., Any] | None = None, /, **options: Unpack[Options]
) -> AnyProducer | Declare:
    """Declare a function as a producer: a generator function, or one that returns a file.

    It is called by the function's name. Its parameters are validated by their type hints,
    as pydantic does, and become its form; one of type `Run` gets the run itself. It may
    yield bytes or JSON values, or return bytes, a path, a binary file object or a `Command`;
    and be asynchronous or, in a thread of its own, block.

    `media_type` and `name` are those of the file it makes, or functions that tell them from
    the arguments. By default the name is the function's own, and the type follows from the
    name, or is that of records where the return annotation says that something else than
    bytes is yielded. `on_disconnect` says what becomes of a run whose direct reader leaves. A
    `safe` producer may be run by GET. A `deterministic` one gives the same bytes for the same
    arguments, so that a run that was broken off goes on where it was. A run that fails is
    tried again `retries` times. `at_once` runs go on in one process, the others wait; each
    may take `time_limit` and make `length_limit` bytes.

    Raises:
        ConfigurationError: the function takes arguments that cannot be named in a request or
            read from one, or an option makes no sense.
    """

    def declare(function: Callable[Parameters, Returned], /) -> Producer[Parameters, Returned]:
        return _declared(function, options)

    return declare if function is None else declare(function)


def _declared(
    function: Callable[Parameters, Returned], options: Options
) -> Producer[Parameters, Returned]:
    function_name = getattr(function, "__name__", "")
    if not inspect.isroutine(function) or not function_name.isidentifier():
        raise ConfigurationError(
            f"{function!r} is not a producer: it must be a function with a name"
        )
    _check(function_name, options)
    hints = hints_of(function_name, function)
    is_coroutine = inspect.iscoroutinefunction(function)
    yields = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    return Producer(
        name=function_name,
        function=function,
        arguments=form_of(function_name, function, hints),
        run_parameter=run_parameter(hints),
        blocks=not yields and not is_coroutine,
        media_type=options.get("media_type") or _type_of_records(hints.get("return")),
        file_name=options.get("name") or function_name,
        description=inspect.getdoc(function) or "",
        on_disconnect=options.get("on_disconnect", "finish"),
        is_safe=options.get("safe", False),
        is_deterministic=options.get("deterministic", False),
        at_once=options.get("at_once"),
        retries=options.get("retries", 0),
        time_limit=options.get("time_limit"),
        length_limit=options.get("length_limit"),
    )


def _told(fact: str | FromArguments, arguments: Mapping[str, Any]) -> str:
    return fact if isinstance(fact, str) else fact(arguments)


def _check(function_name: str, options: Options) -> None:
    unknown = options.keys() - Options.__annotations__.keys()
    if unknown:
        raise ConfigurationError(
            f"the producer {function_name} has no option {min(unknown)!r}; there are:"
            f" {', '.join(Options.__annotations__)}"
        )
    for name, least in (("at_once", 1), ("retries", 0), ("length_limit", 1)):
        given = options.get(name)
        if isinstance(given, int) and given < least:
            raise ConfigurationError(
                f"the producer {function_name}: {name} must be at least {least}"
            )
    time_limit = options.get("time_limit")
    if time_limit is not None and time_limit <= timedelta(0):
        raise ConfigurationError(f"the producer {function_name}: time_limit must be positive")
    media_type = options.get("media_type")
    if isinstance(media_type, str):
        try:
            parse_media_type(media_type)
        except MalformedField as exc:
            raise ConfigurationError(f"the producer {function_name}: {exc}") from exc


def _type_of_records(returned: object) -> str | None:
    """Return the media type of records where a return annotation says that they are yielded."""
    origin, yielded = typing.get_origin(returned), typing.get_args(returned)
    yields = isinstance(origin, type) and issubclass(origin, (Iterator, AsyncIterable))
    return RECORDS if yields and yielded[0] is not bytes else None
