"""Plain uploads: the content of one request is the whole file.

    POST /uploads            the file as it is; its name in Content-Disposition or ?name=
    PUT  /uploads/{name}     what `curl -T` sends

A request that is cut leaves nothing behind that its client could go on with. Multipart
forms hold their files inside of the content, not in the head; they do not come here.
"""

from __future__ import annotations

from tailrace.errors import TailraceError
from tailrace.protocol.fields import FieldLines
from tailrace.protocol.uploads.commands import Command
from tailrace.protocol.uploads.dialect import Refusal, RequestHead, ResponseHead
from tailrace.protocol.uploads.metadata import read_content_length, read_creation
from tailrace.protocol.uploads.outcomes import Created, Limits, Outcome


def recognizes(head: RequestHead) -> bool:
    return head.method in ("POST", "PUT")


def parse(head: RequestHead) -> Command:
    length = read_content_length(head.fields)
    return read_creation(head, is_complete=True, complete_length=length, content_length=length)


def answer(outcome: Outcome) -> ResponseHead:
    if not isinstance(outcome, Created):
        raise ValueError(f"no plain upload has the outcome {outcome}")
    return ResponseHead(201, outcome.fields)


def refuse(error: TailraceError, limits: Limits) -> Refusal:
    return Refusal()


def announce(limits: Limits) -> FieldLines:
    return ()
