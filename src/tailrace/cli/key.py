"""`tailrace key`: the keys of a service, made and listed where its data rests."""

from __future__ import annotations

import argparse
import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

from tailrace.asgi.access import hash_of, new_key
from tailrace.catalogue import CredentialRecord
from tailrace.catalogue.sql import open_catalogue
from tailrace.cli.outcomes import DONE
from tailrace.cli.terminal import printable
from tailrace.settings import settings

SUMMARY = "make and list the keys of a service"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="make a key, and print it, once")
    add.add_argument("name", metavar="NAME", help="whose it is")
    listing = actions.add_parser("ls", help="list the names of the keys there are")
    for action in (add, listing):
        action.add_argument(
            "--data",
            default=os.environ.get("TAILRACE_DATA", "tailrace-data"),
            metavar="DIR",
            help="where the service's data rests (TAILRACE_DATA; default: %(default)s)",
        )
        action.add_argument(
            "--catalogue",
            metavar="URL",
            default=os.environ.get("TAILRACE_CATALOGUE"),
            help="as for `tailrace serve` (TAILRACE_CATALOGUE)",
        )


def run(arguments: argparse.Namespace) -> int:
    given = settings(data=arguments.data, catalogue=arguments.catalogue)
    if arguments.action == "add":
        # Before the service first runs there may be none yet.
        Path(given.data).mkdir(mode=0o700, exist_ok=True)
        print(asyncio.run(_add(arguments.name, given.catalogue_url)))
    else:
        for line in asyncio.run(_list(given.catalogue_url)):
            print(line)
    return DONE


async def _add(name: str, catalogue_url: str) -> str:
    catalogue = await open_catalogue(catalogue_url, durability="power")
    key = new_key()
    try:
        await catalogue.add_credential(CredentialRecord(name, hash_of(key), datetime.now(UTC)))
    finally:
        await catalogue.close()
    return key


async def _list(catalogue_url: str) -> list[str]:
    catalogue = await open_catalogue(catalogue_url, durability="power")
    try:
        credentials = await catalogue.credentials()
    finally:
        await catalogue.close()
    return [
        f"{credential.created_at:%Y-%m-%d %H:%M}  {printable(credential.name)}"
        for credential in credentials
    ]
