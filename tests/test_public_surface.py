"""The doors of the rooms: exactly these names, and nothing behind them unasked."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

DOORS = {
    "tailrace": {
        "BlobResponse",
        "Command",
        "Download",
        "FileResponse",
        "Producer",
        "Run",
        "Settings",
        "Tailrace",
        "TailraceError",
        "__version__",
        "adownload",
        "download",
        "producer",
    },
    "tailrace.blobs": {
        "BlobKey",
        "BlobReader",
        "BlobState",
        "BlobStatus",
        "BlobStore",
        "BlobWriter",
        "Landing",
        "LocalBlobWriter",
    },
    "tailrace.catalogue": {
        "Catalogue",
        "CredentialRecord",
        "FileId",
        "FileRecord",
        "FileState",
        "JobRecord",
        "LinkId",
        "LinkRecord",
        "Origin",
        "UploadRecord",
    },
    "tailrace.delivery": {
        "SMALL_CONTENT",
        "BlobResponse",
        "FileResponse",
        "Proxy",
        "Representation",
        "UntilDisconnect",
        "asks_for_the_whole",
        "deliver",
        "deliver_content",
        "follow",
    },
    "tailrace.client": {
        "Cancellation",
        "Cancelled",
        "DEFAULT_SERVICE",
        "Download",
        "Patience",
        "Progress",
        "Service",
        "Timeouts",
        "Upload",
        "adownload",
        "download",
        "upload",
    },
    "tailrace.intake.producers": {
        "AnyProducer",
        "Command",
        "Producer",
        "Progress",
        "Run",
        "content_made",
        "producer",
    },
    "tailrace.protocol.uploads": {
        "Append",
        "Appended",
        "Begun",
        "Cancel",
        "Cancelled",
        "Command",
        "Concatenate",
        "ContentDigest",
        "Create",
        "Created",
        "Dialect",
        "FieldLines",
        "Inspect",
        "Inspected",
        "Limits",
        "OffsetRetrieved",
        "Outcome",
        "Progress",
        "Refusal",
        "RequestHead",
        "ResponseHead",
        "RetrieveOffset",
        "UploadState",
        "require_expecting",
        "announce",
        "dialect_of",
    },
}

# What only a service needs; a download must not wait for it.
SERVICE_ROOMS = {
    f"tailrace.{room}"
    for room in (
        "asgi",
        "service",
        "settings",
        "intake",
        "links",
        "upkeep",
        "delivery",
        "catalogue",
        "blobs",
    )
}
SERVICE_PACKAGES = {"fastapi", "starlette", "uvicorn", "sqlalchemy", "alembic", "pydantic"}


@pytest.mark.parametrize("door", DOORS)
def test_a_door_has_exactly_the_names_on_the_list(door: str) -> None:
    names = importlib.import_module(door).__all__
    assert sorted(names) == sorted(DOORS[door])
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("door", "name"), [(door, name) for door, names in DOORS.items() for name in names]
)
def test_each_name_of_a_door_can_be_imported_from_it(door: str, name: str) -> None:
    assert getattr(importlib.import_module(door), name) is not None


@pytest.mark.parametrize("door", ["tailrace", "tailrace.client"])
def test_a_lazy_door_knows_no_other_name(door: str) -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        importlib.import_module(door).no_such_name  # noqa: B018  # the look-up is what is tested


def test_importing_tailrace_imports_no_framework_no_database_and_no_loop() -> None:
    loaded = modules_after("import tailrace")
    assert "tailrace" in loaded
    assert loaded.isdisjoint(SERVICE_PACKAGES | {"asyncio", "http.client", "ssl"})
    assert not within(loaded, {"tailrace"}) - {"tailrace"}


def test_asking_for_download_imports_nothing_of_the_service() -> None:
    loaded = modules_after("import tailrace; tailrace.download")
    assert "tailrace.client.downloads" in loaded
    assert loaded.isdisjoint(SERVICE_PACKAGES | {"asyncio"})
    assert not within(loaded, SERVICE_ROOMS)


def test_a_service_does_not_import_fastapi_unless_its_router_is_asked_for() -> None:
    assert "fastapi" not in modules_after("import tailrace; tailrace.Tailrace().routes")
    assert "fastapi" in modules_after("import tailrace; tailrace.Tailrace().router")


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], ["get", "--help"], ["put", "--help"], ["ls", "--help"]]
)
def test_a_command_of_the_client_imports_nothing_of_the_service(words: list[str]) -> None:
    loaded = modules_after(
        "from tailrace.cli import main\n"
        f"try:\n    main({words!r})\n"
        "except SystemExit as end:\n    assert end.code in (0, None), end.code\n"
        "else:\n    raise AssertionError('no help was given')"
    )
    assert loaded.isdisjoint(SERVICE_PACKAGES | {"asyncio", "rich"})
    assert not within(loaded, SERVICE_ROOMS)


def modules_after(statements: str) -> set[str]:
    """Return the names of all modules that a new interpreter has after some statements."""
    program = (
        "import sys\n"
        f"{statements}\n"
        "print()\n"
        "import json\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def within(loaded: set[str], rooms: set[str]) -> set[str]:
    """Return the modules that are one of the rooms, or lie below one."""
    return {
        name
        for name in loaded
        if any(name == room or name.startswith(f"{room}.") for room in rooms)
    }
