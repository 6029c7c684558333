"""The parameters of a function as the form that a request fills in."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, PydanticUserError, create_model

from tailrace.errors import ConfigurationError
from tailrace.intake.arguments import validated
from tailrace.intake.producers.run import Run

# A model has names of its own (`schema`, `copy`, ...) and none that begin with "_". So its
# fields are named apart from the parameters, which are their aliases.
_FIELD = "argument_"


def hints_of(function_name: str, function: Callable[..., object]) -> Mapping[str, Any]:
    """Return the type hints of a function, resolved.

    Raises:
        ConfigurationError: one of them names what is not there.
    """
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as exc:
        raise ConfigurationError(
            f"the type hints of the producer {function_name or function!r} cannot be"
            f" resolved ({exc}): import what they name where the module runs"
        ) from exc


def run_parameter(hints: Mapping[str, Any]) -> str | None:
    """Return the name of the parameter that gets the run, if there is one."""
    return next((name for name, hint in hints.items() if hint is Run), None)


def form_of(
    function_name: str, function: Callable[..., object], hints: Mapping[str, Any]
) -> type[BaseModel]:
    """Return a model with a field for each parameter that a request gives.

    Raises:
        ConfigurationError: a request cannot name or give one of them.
    """
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigurationError(
                f"the producer {function_name} takes {parameter}, which a request cannot"
                " name: give every parameter a name of its own"
            )
        if hints.get(name) is Run:
            continue
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


def arguments_of(form: type[BaseModel], given: Mapping[str, object]) -> Mapping[str, Any]:
    """Return arguments as the function takes them.

    Raises:
        InvalidArguments: naming each field that is missing, unknown or wrong.
    """
    model = validated(form, given)
    return {
        field.removeprefix(_FIELD): getattr(model, field) for field in type(model).model_fields
    }
