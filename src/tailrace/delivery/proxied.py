"""Leaving the bytes of a sealed blob to the proxy in front, which reads the file itself.

The response has all its fields and no content; one field more tells the proxy what to send:

    X-Accel-Redirect   a location of nginx that only it may enter, and the path below it
    X-Sendfile         the path (Apache with mod_xsendfile, lighttpd)

The proxy answers Range by itself. Conditions it would evaluate again, by the date and the tag
that it gives the file: so whoever asks with conditions is answered here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias, assert_never
from urllib.parse import quote

from starlette.types import Scope

from tailrace.delivery.replies import CONDITIONS

FieldName: TypeAlias = Literal["X-Accel-Redirect", "X-Sendfile"]


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that reads the files below `root` when a field tells it to."""

    field_name: FieldName
    root: Path
    location: str
    """What stands for `root` in an `X-Accel-Redirect`."""

    def field(self, path: str) -> tuple[str, str]:
        """Return the field that has the proxy send the file at a path below the root."""
        match self.field_name:
            case "X-Accel-Redirect":
                below = PurePosixPath(path).relative_to(self.root.absolute())
                return self.field_name, f"{self.location.rstrip('/')}/{quote(str(below))}"
            case "X-Sendfile":
                return self.field_name, path
            case _:
                assert_never(self.field_name)


def is_conditional(scope: Scope) -> bool:
    """Tell whether a request has a condition."""
    return any(name in CONDITIONS for name, _ in scope["headers"])
