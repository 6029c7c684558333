"""The command line: one file a command.

    COMMANDS[name]      what `tailrace --help` says of it
    tailrace.cli.name   SUMMARY (the same), add_arguments(parser), run(arguments) -> status

Only the module of the chosen command is imported. Results go to standard output, each alone
on a line; everything else goes to standard error.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from tailrace import __version__
from tailrace.cli.outcomes import FAILED, INTERRUPTED, WRONG_USE
from tailrace.cli.terminal import complain, reason
from tailrace.errors import ConfigurationError, TailraceError

COMMANDS = {
    "serve": "run the service",
    "put": "upload files, and print a link to each before its bytes are sent",
    "get": "download files, and print where each is when it is whole",
    "make": "run a producer, and write what it makes while it is made",
    "cat": "write files to standard output as they come, and follow those that grow",
    "ls": "list the files that the service holds",
    "key": "make and list the keys of a service",
}

_EXIT_STATUSES = """\
exit status: 0 done; 1 failed, with a sentence on standard error; 2 wrong use; 3 some of
several failed; 130 interrupted"""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Asks the terminal itself how wide it is.

    argparse makes a formatter for each option, and asks shutil, which imports compressors:
    a tenth of the time that a small download takes.
    """

    def __init__(self, prog: str) -> None:
        try:
            columns = os.get_terminal_size().columns
        except OSError:
            columns = 80
        super().__init__(prog, width=min(max(columns - 2, 40), 100))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] not in COMMANDS:
        parser = _parser()
        parser.parse_args(words)  # answers --help and --version, and refuses the rest
        parser.error("the command comes first")
    return _run(words[0], words[1:])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tailrace",
        description="Files over HTTP in constant memory.",
        epilog=_EXIT_STATUSES,
        formatter_class=_HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tailrace {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary)
    return parser


def _import(name: str) -> Any:
    # What imports make is there to stay: to look through it for garbage, again and again
    # and once more at exit, takes a tenth of the time of a small download.
    gc.disable()
    try:
        return import_module(f"{__name__}.{name}")
    finally:
        gc.freeze()
        gc.enable()


def _run(name: str, words: Sequence[str]) -> int:
    command = _import(name)
    parser = argparse.ArgumentParser(
        prog=f"tailrace {name}",
        description=command.SUMMARY,
        epilog=_EXIT_STATUSES,
        formatter_class=_HelpFormatter,
        allow_abbrev=False,  # or a new option would break a script that cut another short
    )
    command.add_arguments(parser)
    arguments = parser.parse_args(words)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path that is no Unicode is printed as the bytes it is.
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        status: int = command.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has enough. What is still buffered must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except ConfigurationError as exc:
        complain(str(exc))
        return WRONG_USE
    except (TailraceError, OSError) as exc:
        complain(reason(exc))
        return FAILED
    return status
