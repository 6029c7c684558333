"""Producers as people declare them: a generator function and what is said of it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, ParamSpec, TypeAlias, TypeVar, overload

from pydantic import (
    BaseModel,
    ConfigDict,
    PydanticUserError,
    create_model,
)

from tailrace.errors import ConfigurationError, MalformedField
from tailrace.intake.arguments import validated
from tailrace.intake.media_types import guess_media_type
from tailrace.protocol.media_types import parse_media_type

Parameters = ParamSpec("Parameters")
Yielded = TypeVar("Yielded", covariant=True)

Generated: TypeAlias = Iterator[Yielded] | AsyncIterator[Yielded]
FromArguments: TypeAlias = Callable[[Mapping[str, Any]], str]
"""Tells something of the file from the validated arguments."""

OnDisconnect: TypeAlias = Literal["finish", "cancel"]

RECORDS = "application/x-ndjson"

# A model has names of its own (`schema`, `copy`, ...) and none that begin with "_". So its
# fields are named apart from the parameters, which are their aliases.
_FIELD = "argument_"


@dataclass(frozen=True, slots=True)
class Producer(Generic[Parameters, Yielded]):
    """A function whose yields make a file: bytes, or JSON values, one record each.

    Calling it calls the function.
    """

    name: str
    function: Callable[Parameters, Generated[Yielded]]
    arguments: type[BaseModel]
    media_type: str | FromArguments
    file_name: str | FromArguments
    description: str
    on_disconnect: OnDisconnect
    is_safe: bool
    """Making the same again changes nothing, so that GET may run it (RFC 9110 §9.2.1)."""

    def __call__(
        self, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Generated[Yielded]:
        return self.function(*args, **kwargs)

    def validate(self, given: Mapping[str, object]) -> Mapping[str, Any]:
        """Return the arguments as the function takes them.

        Raises:
            InvalidArguments: naming each field that is missing, unknown or wrong.
        """
        model = validated(self.arguments, given)
        return {
            field.removeprefix(_FIELD): getattr(model, field)
            for field in type(model).model_fields
        }

    def media_type_of(self, arguments: Mapping[str, Any]) -> str:
        """Return the media type of the file that such a run makes.

        Raises:
            ValueError: the producer tells what is none, such as one with a line end in it.
        """
        told = _told(self.media_type, arguments)
        try:
            return parse_media_type(told).to_field()
        except MalformedField as exc:
            raise ValueError(f"the producer {self.name}: {exc}") from exc

    def file_name_of(self, arguments: Mapping[str, Any]) -> str:
        return _told(self.file_name, arguments)

    def generate(self, arguments: Mapping[str, Any]) -> Generated[Yielded]:
        """Call the function with validated arguments."""
        function: Callable[..., Generated[Yielded]] = self.function
        return function(**arguments)


AnyProducer: TypeAlias = Producer[..., object]


class Declare(typing.Protocol):
    """What `producer(...)` returns: a decorator."""

    def __call__(
        self, function: Callable[Parameters, Generated[Yielded]], /
    ) -> Producer[Parameters, Yielded]: ...


@overload
def producer(
    function: Callable[Parameters, Generated[Yielded]], /
) -> Producer[Parameters, Yielded]: ...


@overload
def producer(
    *,
    media_type: str | FromArguments | None = None,
    name: str | FromArguments | None = None,
    on_disconnect: OnDisconnect = "finish",
    safe: bool = False,
) -> Declare: ...


def producer(
    function: Callable[..., Generated[Any]] | None = None,
    /,
    *,
    media_type: str | FromArguments | None = None,
    name: str | FromArguments | None = None,
    on_disconnect: OnDisconnect = "finish",
    safe: bool = False,
) -> Producer[..., Any] | Declare:
    """Declare a sync or async generator function as a producer.

    It is called by the function's name. Its parameters are validated by their type hints,
    as pydantic does, and become its form. `media_type` and `name` are those of the file it
    makes, or functions that tell them from the arguments. By default the name is the
    function's own, and the type follows from the name, or is that of records where the
    return annotation says that something else than bytes is yielded. `on_disconnect` says
    what becomes of a run whose direct reader leaves. A `safe` producer may be run by GET.

    Raises:
        ConfigurationError: the function is not a generator function, or takes arguments
            that cannot be named in a request or read from one.
    """

    def declare(
        function: Callable[Parameters, Generated[Yielded]], /
    ) -> Producer[Parameters, Yielded]:
        function_name = getattr(function, "__name__", "")
        if not (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)):
            raise ConfigurationError(
                f"{function_name or function!r} is not a producer: it must be a function"
                " that yields"
            )
        if isinstance(media_type, str):
            _check_media_type(function_name, media_type)
        file_name = name or function_name
        hints = _hints_of(function_name, function)
        return Producer(
            name=function_name,
            function=function,
            arguments=_arguments_of(function_name, function, hints),
            media_type=media_type or _media_type_of(hints.get("return"), file_name),
            file_name=file_name,
            description=inspect.getdoc(function) or "",
            on_disconnect=on_disconnect,
            is_safe=safe,
        )

    return declare if function is None else declare(function)


def _told(fact: str | FromArguments, arguments: Mapping[str, Any]) -> str:
    return fact if isinstance(fact, str) else fact(arguments)


def _check_media_type(function_name: str, media_type: str) -> None:
    try:
        parse_media_type(media_type)
    except MalformedField as exc:
        raise ConfigurationError(f"the producer {function_name}: {exc}") from exc


def _hints_of(function_name: str, function: Callable[..., object]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as exc:
        raise ConfigurationError(
            f"the type hints of the producer {function_name or function!r} cannot be"
            f" resolved ({exc}): import what they name where the module runs"
        ) from exc


def _media_type_of(returned: object, file_name: str | FromArguments) -> str | FromArguments:
    yielded = typing.get_args(returned)
    if yielded and yielded[0] is not bytes:
        return RECORDS
    if isinstance(file_name, str):
        return guess_media_type(file_name)
    return lambda arguments: guess_media_type(file_name(arguments))


def _arguments_of(
    function_name: str, function: Callable[..., object], hints: Mapping[str, Any]
) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigurationError(
                f"the producer {function_name} takes {parameter}, which a request cannot"
                " name: give every parameter a name of its own"
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        implied = str if default in (..., None) else type(default)
        fields[_FIELD + name] = (hints.get(name, implied), default)
    config = ConfigDict(
        extra="forbid", alias_generator=lambda field: field.removeprefix(_FIELD)
    )
    try:
        return create_model(function_name, __config__=config, **fields)
    except PydanticUserError as exc:
        raise ConfigurationError(
            f"the producer {function_name} takes what a request cannot give"
            f" ({exc.message.partition('. ')[0]}): give every parameter a type that pydantic"
            " can validate"
        ) from exc
