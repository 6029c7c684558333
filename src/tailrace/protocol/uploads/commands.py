"""What a client of any dialect can want of an upload.

An upload is a remote writer at an offset, and so are the appends of every dialect: a client
may begin in one and go on in another. Where dialects differ is in what ends the upload. One
says with each content whether it is the last; in another the upload is whole as soon as it
has the length that was promised. Both are said here, so that neither has to guess.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tailrace.protocol.digests import Digests
from tailrace.protocol.fields import FieldLines


@dataclass(frozen=True, slots=True)
class ContentDigest:
    """What the content of one request must hash to; otherwise none of it is kept."""

    algorithm: Literal["md5", "sha-1", "sha-256", "sha-512"]
    digest: bytes


@dataclass(frozen=True, slots=True)
class Create:
    """Begin a file, and append the content of this request to it, if it has any.

    With `is_complete` that content is the whole file; otherwise more is to come by Append.
    """

    name: str
    """Safe to store and to give back, never empty."""
    media_type: str | None
    """None where the client did not say; guess it then from the name."""
    complete_length: int | None
    is_complete: bool
    content_length: int | None
    """None where only the end of the content will tell."""
    digests: Digests
    """What the whole file must have; may be empty."""
    content_digests: tuple[ContentDigest, ...] = ()
    """What the content of this request must have; all of them."""
    ends_at_length: bool = False
    """The file is whole once it has the promised length."""
    takes_interim: bool = False
    """The client can be told of the upload before its content has come, by an interim
    response. If it is, it can go on after a cut even if the content was to be all."""
    is_partial: bool = False
    """It is to become a part of another file, and is never a whole one itself."""
    notes: FieldLines = ()
    """What the dialect wants to be given back with every progress, as it stands here."""


@dataclass(frozen=True, slots=True)
class Concatenate:
    """Begin a file that is the content of partial uploads, one after the other."""

    name: str
    media_type: str | None
    digests: Digests
    parts: tuple[str, ...]
    """The keys of the uploads, in order; never empty, and the same one may come again."""
    notes: FieldLines


@dataclass(frozen=True, slots=True)
class Append:
    """Append the content of this request at an offset.

    With `is_complete` the file is whole when all of the content is kept. A client that
    never saw the answer may repeat such a request without content, at the end of a file
    that is complete already: that does nothing, and is answered as it was the first time.
    """

    offset: int
    complete_length: int | None
    """As this request says it; it must not contradict what was said before."""
    is_complete: bool
    content_length: int | None
    digests: Digests = field(default_factory=dict, hash=False)
    """What the whole file must have, if this request completes it."""
    content_digests: tuple[ContentDigest, ...] = ()
    ends_at_length: bool = False


@dataclass(frozen=True, slots=True)
class RetrieveOffset:
    """Say how much is kept."""

    ends_at_length: bool = False
    """The client will take an offset at the promised length for the end, so it has to be."""


@dataclass(frozen=True, slots=True)
class Inspect:
    """Say how much is kept, and describe the file in the content."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Give the upload up."""

    ends_file: bool = False
    """Also if it is complete: its file then ends."""


Command = Create | Concatenate | Append | RetrieveOffset | Inspect | Cancel
