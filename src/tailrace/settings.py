"""Every setting, its default, and the reason for the default.

Each can be given as an argument, or in the environment as `TAILRACE_` and its name, where
`none` stands for None. A duration is written as `12:00:00`, `7 days` or `P7D` (ISO 8601).
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from tailrace.errors import ConfigurationError

_GIB = 1024**3

# What is longer is meant to be for ever, and soon lies past the year 9999.
_CENTURY = timedelta(days=36525)


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
    if not is_address or parts.query or parts.fragment:
        raise ValueError("write it like https://example.com/share")
    return url


def _checked_location(location: str) -> str:
    if re.fullmatch(r"/(?:[A-Za-z0-9._~-]+/)+", location) is None:
        raise ValueError("write it like /tailrace-blobs/")
    return location


class Settings(BaseSettings):
    """How a service works. Lengths are bytes."""

    model_config = SettingsConfigDict(
        env_prefix="TAILRACE_", env_parse_none_str="none", extra="forbid", frozen=True
    )

    data: str = "tailrace-data"
    """Where bytes rest: a directory."""

    catalogue: str | None = None
    """Where the knowledge of them rests, as an SQLAlchemy URL; by default SQLite in `data`."""

    public_url: Annotated[str, AfterValidator(_checked_url)] | None = None
    """The public address that links begin with; by default the one a request came to."""

    durability: Literal["power", "crash"] = "power"
    """What acknowledged bytes survive: a power cut, or only a crash of the service."""

    digest: Literal["sha-256"] | None = "sha-256"
    """What is computed of each file while it arrives, and told with it. It costs as much as all
    the rest of an upload; with None only a digest that the sender gives is, to verify it."""

    keep_files: timedelta | None = Field(timedelta(hours=24), gt=timedelta(0), le=_CENTURY)
    """How long a file and its links live once it is whole; None is for ever."""

    keep_uploads: timedelta = Field(timedelta(hours=24), gt=timedelta(0), le=_CENTURY)
    """How long an unfinished upload waits for more, after its last byte."""

    keep_records: timedelta = Field(timedelta(days=7), gt=timedelta(0), le=_CENTURY)
    """How long the record of an ended file is kept, so that its links can say why."""

    file_limit: int = Field(100 * _GIB, gt=0)
    """The longest file taken; large for media and archives, finite against mistakes."""

    form_limit: int = Field(1024 * 1024, gt=0)
    """The longest JSON or form with arguments; a long text fits, a file does not."""

    form_parts: int = Field(1000, gt=0)
    """The most parts of one multipart upload; as much as a browser's file dialogue gives."""

    list_limit: int = Field(1000, gt=0)
    """The most files on one page of a listing."""

    jobs: int = Field(16, gt=0)
    """How many producers run at once; more wait for their turn."""

    waiting_jobs: int = Field(1000, ge=0)
    """How many may wait, of all processes; each is a row and an empty file. More are refused
    (503)."""

    keep_jobs: timedelta = Field(timedelta(hours=24), gt=timedelta(0), le=_CENTURY)
    """How long a run may wait and take, all its attempts together."""

    proxy_sends: Literal["X-Accel-Redirect", "X-Sendfile"] | None = None
    """By which field the proxy in front is told to send a sealed file itself; none by default,
    since without such a proxy nobody would get any bytes."""

    proxy_location: Annotated[str, AfterValidator(_checked_location)] = "/tailrace-blobs/"
    """Which location of nginx stands for `blobs` in `data`, for `X-Accel-Redirect`."""

    grace_seconds: float = Field(30.0, ge=0, allow_inf_nan=False)
    """How long running transfers may go on after the service was asked to stop."""

    sweep_seconds: float = Field(60.0, gt=0, allow_inf_nan=False)
    """How often what has ended is cleaned up."""

    @property
    def catalogue_url(self) -> str:
        if self.catalogue is not None:
            return self.catalogue
        path = str(Path(self.data).absolute() / "catalogue.sqlite3")
        # What means something else in a URL.
        return "sqlite:///" + path.replace("%", "%25").replace("?", "%3F")


def settings(**given: object) -> Settings:
    """Return the settings: what is given, else the environment, else the defaults.

    Raises:
        ConfigurationError: naming each setting that is wrong, and why.
    """
    try:
        return Settings(**given)  # type: ignore[arg-type]  # pydantic checks each value
    except ValidationError as exc:
        reasons = "; ".join(
            f"{'.'.join(map(str, error['loc']))}: {_message(error)}" for error in exc.errors()
        )
        raise ConfigurationError(f"a setting is wrong: {reasons}") from exc


def _message(error: ErrorDetails) -> str:
    if error["type"] == "time_delta_parsing":  # pydantic's own tells of the parser's insides
        return "Input should be a duration, such as 12:00:00, 7 days or P7D"
    return error["msg"].removeprefix("Value error, ")
