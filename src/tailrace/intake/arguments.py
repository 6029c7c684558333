"""Arguments of a request, validated against what is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tailrace.errors import ConfigurationError, InvalidArguments

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], given: Mapping[str, object]) -> Model:
    """Return arguments as the model has them; texts of a form count as what they spell.

    Raises:
        InvalidArguments: naming each field that is missing, unknown or wrong.
        ConfigurationError: a validator found that this service lacks what it needs.
    """
    try:
        return model.model_validate(given)
    except ValidationError as exc:
        for error in exc.errors():
            cause = error.get("ctx", {}).get("error")
            if isinstance(cause, ConfigurationError):  # ours to mend, not the client's
                raise cause from exc
        raise InvalidArguments(
            [
                {
                    "field": ".".join(map(str, error["loc"])),
                    "detail": error["msg"].removeprefix("Value error, "),
                }
                for error in exc.errors(include_url=False, include_context=False)
            ]
        ) from exc
