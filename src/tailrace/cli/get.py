"""`tailrace get URL...`: download; print each final path alone on a line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tailrace.cli.options import add_timeout, count, field, key_for, length
from tailrace.cli.outcomes import DONE, each
from tailrace.cli.several import each_at_once
from tailrace.cli.terminal import progress_bar, reason, terminable
from tailrace.client.cancellation import Cancellation
from tailrace.client.connections import Timeouts
from tailrace.client.downloads import CONNECTIONS, Download, Session
from tailrace.client.throttle import Throttle
from tailrace.client.urls import Url
from tailrace.errors import ConfigurationError

SUMMARY = "download files, and print where each is when it is whole"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("urls", metavar="URL", nargs="*", help="an http or https URL")
    parser.add_argument(
        "-i",
        "--input",
        metavar="FILE",
        help="read more URLs from a file, one a line; - is standard input",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help="the file, or a directory in which it is named by the server (default: .); - is"
        " standard output",
    )
    parser.add_argument(
        "--unique",
        action="store_true",
        help="name each file by a UUID and the extension it would have had",
    )
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    parser.add_argument("--sha256", metavar="HEX", help="what the file must hash to")
    parser.add_argument(
        "--key",
        help="send this key to the origin of each URL; without it TAILRACE_KEY is sent to"
        " the origin of TAILRACE_URL and to no other",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=count,
        default=1,
        help="how many files to fetch at once (default: 1, in the order they are given)",
    )
    parser.add_argument(
        "--connections",
        metavar="N",
        type=count,
        default=CONNECTIONS,
        help=f"how many connections one file may have (default: {CONNECTIONS})",
    )
    parser.add_argument(
        "-H",
        "--header",
        metavar="FIELD",
        dest="fields",
        type=field,
        action="append",
        default=[],
        help="send a field, `Name: value`, to the origin of each URL; may be repeated",
    )
    parser.add_argument(
        "--limit-rate",
        metavar="BYTES",
        type=length,
        help="bytes a second, of all files together, such as 500K or 2M (of 1024)",
    )
    parser.add_argument(
        "--max-size", metavar="BYTES", type=length, help="fail where a file is longer than this"
    )
    add_timeout(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object for each file")


def run(arguments: argparse.Namespace) -> int:
    texts = [*arguments.urls, *_listed(arguments.input)]
    urls = {text: Url.parse(text) for text in texts}
    if not urls:
        raise ConfigurationError("there is no URL to download; give one, or a list with -i")
    if len(urls) > 1 and arguments.sha256 is not None:
        raise ConfigurationError("--sha256 is of one file, but there are several URLs")
    directory = arguments.output
    if len(urls) > 1 and directory not in (None, "-") and not Path(directory).is_dir():
        raise ConfigurationError(
            f"several files cannot go to {arguments.output!r}; give a directory that exists"
        )
    if arguments.output == "-":
        return _write_out(arguments, list(urls))
    jobs = min(arguments.jobs, len(urls))

    def get(session: Session, text: str) -> None:
        url = urls[text]
        # Several bars would write over each other.
        with progress_bar(url.last_segment or text if jobs == 1 else None) as progress:
            done = session.download(
                text,
                arguments.output,
                unique=arguments.unique,
                force=arguments.force,
                sha256=arguments.sha256,
                key=key_for(url, arguments.key),
                progress=progress,
            )
        print(_json(text, done) if arguments.json else os.fspath(done.path), flush=True)

    rate = arguments.limit_rate
    throttle = None if rate is None else Throttle(rate)

    def open_session(cancellation: Cancellation) -> Session:
        return Session(
            timeouts=Timeouts(stall_seconds=arguments.timeout),
            cancellation=cancellation,
            connections=arguments.connections,
            max_length=arguments.max_size,
            throttle=throttle,
            fields=arguments.fields,
        )

    with terminable():
        if jobs == 1:
            with open_session(Cancellation()) as session:
                return each(list(urls), partial(get, session))
        return each_at_once(list(urls), get, open_session, jobs)


def _write_out(arguments: argparse.Namespace, texts: Sequence[str]) -> int:
    if arguments.json or arguments.unique or arguments.sha256 is not None:
        raise ConfigurationError(
            "--json, --unique and --sha256 are of files, and -o - writes none"
        )
    from tailrace.cli.cat import write_out  # seldom used

    with terminable(), Session(timeouts=Timeouts(stall_seconds=arguments.timeout)) as session:
        for text in texts:
            write_out(session, text, 0, key_for(Url.parse(text), arguments.key))
    return DONE


def _listed(path: str | None) -> list[str]:
    """Return the URLs of a list: one a line, without what begins with a number sign."""
    if path is None:
        return []
    if path == "-":
        text = sys.stdin.read()
    else:
        try:
            text = Path(path).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigurationError(f"the list cannot be read: {reason(exc)}") from exc
    lines = map(str.strip, text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _json(url: str, done: Download) -> str:
    import json  # only where it is asked for

    return json.dumps(
        {
            "url": url,
            "path": os.fspath(done.path),
            "length": done.length,
            "sha256": done.sha256,
            "resumed_from": done.resumed_from,
        }
    )
