"""`tailrace ls`: the files that the service holds."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from tailrace.cli.options import add_service, add_timeout
from tailrace.cli.terminal import human_length, printable
from tailrace.client.connections import Timeouts
from tailrace.client.service import Service
from tailrace.errors import TransferError

SUMMARY = "list the files that the service holds"

_HEADINGS = ("LINK", "NAME", "LENGTH", "STATE", "EXPIRES")

# Columns are as wide as these many rows need: a page, so the next is asked for only then.
_ROWS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    add_timeout(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object for each file")


def run(arguments: argparse.Namespace) -> int:
    service = Service(arguments.to, arguments.key, Timeouts(stall_seconds=arguments.timeout))
    files = service.files()
    if arguments.json:
        for file in files:
            print(json.dumps(file))
        return 0
    # Headings are for people: to a program every line is a file.
    heading = [_HEADINGS] if sys.stdout.isatty() else []
    while rows := [_row(file) for file in itertools.islice(files, _ROWS)]:
        _print_table([*heading, *rows])
        heading = []
    return 0


def _row(file: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        links = file.get("links") or []
        cells = (
            links[0]["url"] if links else "-",
            file["name"],
            human_length(file["length"]),
            file["state"],
            file["expires_at"] or "never",
        )
    except (KeyError, TypeError, AttributeError, IndexError) as exc:
        raise TransferError("what the service lists are not files; is it tailrace?") from exc
    return tuple(printable(str(cell)) for cell in cells)


def _print_table(rows: Iterable[tuple[str, ...]]) -> None:
    rows = list(rows)
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        )
        print("  ".join(cells).rstrip())


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )
