"""Where a download goes: a directory, and the name it gets there in the end."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from tailrace.client.urls import Url
from tailrace.errors import ConfigurationError, UnsafeTarget
from tailrace.protocol.disposition import ContentDisposition, safe_name
from tailrace.protocol.fields import Fields

_DEFAULT_NAME = "download"

# `.gz` alone would tell too little of what was a `.tar.gz`.
_EXTENSION = re.compile(r"(?:\.tar)?\.[A-Za-z0-9]{1,16}$")


class Destination(NamedTuple):
    """`name` is None where the server, or else the URL, is to say it."""

    directory: Path
    name: str | None
    is_unique: bool

    @classmethod
    def of(cls, path: str | os.PathLike[str] | None, *, unique: bool) -> Destination:
        """Read a path as `cp` reads its last argument: a directory, or the file itself.

        Raises:
            UnsafeTarget: there is no such directory.
            ConfigurationError: a unique name is wanted, and another one given.
        """
        if path is None:
            return cls(Path(), None, unique)
        text = os.fspath(path)
        target = Path(text)
        if target.is_dir():
            return cls(target, None, unique)
        if text.endswith(os.sep) or not target.parent.is_dir():
            directory = text if text.endswith(os.sep) else target.parent
            raise UnsafeTarget(f"there is no directory {directory}; make it first")
        if unique:
            raise ConfigurationError(
                f"a unique name cannot be {text!r} at the same time; give a directory"
            )
        return cls(target.parent, target.name, unique)

    def label(self, url: Url) -> str:
        """Return a name for the partial file, before the server has said anything."""
        return self.name or safe_name(url.last_segment, _DEFAULT_NAME)

    def suggested_name(self, url: Url, fields: Fields) -> str:
        """Return the name that is asked for: here, by the server, or by the URL."""
        if self.name is not None:
            return self.name
        field = fields.get("Content-Disposition")
        disposition = ContentDisposition.from_field(field) if field else None
        told = disposition.filename if disposition else None
        return safe_name(told or "", "") or safe_name(url.last_segment, _DEFAULT_NAME)

    def target(self, suggested_name: str) -> Path:
        """Return the final path; with a unique name it is another one each time."""
        if not self.is_unique:
            return self.directory / suggested_name
        import uuid  # seldom used

        extension = _EXTENSION.search(suggested_name)
        return self.directory / f"{uuid.uuid4()}{extension[0] if extension else ''}"
