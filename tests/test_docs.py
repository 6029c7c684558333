"""The documents say what is there: every command, setting, problem, route and name, no more.

What the reference lists is read from its headings and tables, and compared with the program
in both directions.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tailrace
from tailrace.asgi.routes import routes
from tailrace.cli import COMMANDS, main
from tailrace.errors import LengthMismatch, OffsetMismatch, UploadComplete
from tailrace.protocol import problems
from tailrace.protocol.uploads import Limits, rufh
from tailrace.server import Limits as ServerLimits
from tailrace.settings import Settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])

FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
OPTION = re.compile(r"`(--?[a-zA-Z][a-z0-9-]*)[^`]*`")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


# --- the command line -----------------------------------------------------------------------


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield every command, and every action of a command, with its parser."""
    for name in COMMANDS:
        parser = argparse.ArgumentParser()
        importlib.import_module(f"tailrace.cli.{name}").add_arguments(parser)
        yield f"tailrace {name}", parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for word, below in action.choices.items():
                    yield f"tailrace {name} {word}", below


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings} - {
        "-h",
        "--help",
    }


def positionals_of(parser: argparse.ArgumentParser) -> set[str]:
    return {
        str(action.metavar)
        for action in parser._actions
        if not action.option_strings and not isinstance(action, argparse._SubParsersAction)
    }


def test_the_page_of_the_command_line_has_every_command_and_no_other() -> None:
    documented = {title.strip("`") for title in sections(REFERENCE / "cli.md")}
    there = {title for title, _ in parsers()}
    assert {title for title in documented if title.startswith("tailrace ")} == there


@pytest.mark.parametrize("title", [title for title, _ in parsers()])
def test_a_command_is_documented_with_all_its_arguments_and_no_other(title: str) -> None:
    parser = dict(parsers())[title]
    first_cells = [row[0] for row in rows(sections(REFERENCE / "cli.md")[f"`{title}`"])]
    documented = {option for cell in first_cells for option in OPTION.findall(cell)}
    assert documented == options_of(parser)
    names = {cell.strip("`") for cell in first_cells if not cell.startswith("`-")}
    assert names == positionals_of(parser)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_answers_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert f"usage: tailrace {name}" in capsys.readouterr().out


# --- settings, problems, routes, names --------------------------------------------------------


def test_the_page_of_settings_has_every_setting_and_no_other() -> None:
    documented = [row[0].strip("`") for row in rows(text_of(REFERENCE / "settings.md"))]
    assert documented == list(Settings.model_fields)


def test_the_documented_default_of_a_setting_is_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, default, _ in rows(text_of(REFERENCE / "settings.md")):
        monkeypatch.setenv(f"TAILRACE_{name.strip('`').upper()}", default.strip("`"))
        field = name.strip("`")
        assert getattr(Settings(), field) == Settings.model_fields[field].default, name


def test_the_page_of_the_server_has_every_limit_with_its_default_and_no_other() -> None:
    documented = {
        name.strip("`"): default
        for name, default, *_ in rows(sections(REFERENCE / "server.md")["Limits"])
    }
    assert documented == {
        each.name: f"{each.default // 1024} KiB"
        if each.name == "head_bytes"
        else f"{each.default:g}"
        for each in dataclasses.fields(ServerLimits)
    }


def test_the_page_of_problems_has_every_type_with_its_status_and_no_other() -> None:
    documented = {
        (row[0].strip("`"), int(row[1])) for row in rows(text_of(REFERENCE / "problems.md"))
    }
    ours = {(f"urn:tailrace:{row.slug}", row.status) for row in problems._TABLE.values()}
    apart = {
        problems.PRECONDITION_FAILED,
        problems.method_not_allowed("PUT", ["GET"]),
        problems.range_not_satisfiable(1, None),
        *(
            rufh.refuse(error, Limits(length=None, lifetime=None)).problem
            for error in (OffsetMismatch(0, 1), LengthMismatch(0, 1), UploadComplete())
        ),
    }
    assert documented == ours | {(each.type, each.status) for each in apart if each is not None}


def test_the_page_of_problems_has_the_further_members_of_each_type() -> None:
    documented = {
        row[0].strip("`"): set(re.findall(r"`([a-z_]+)`", row[3]))
        for row in rows(text_of(REFERENCE / "problems.md"))
    }
    for row in problems._TABLE.values():
        assert documented[f"urn:tailrace:{row.slug}"] == set(row.facts), row.slug


def test_the_page_of_http_has_every_route_and_method_and_no_other() -> None:
    documented = {
        (method, anonymous(path))
        for methods, path in re.findall(
            r"^### `([A-Z, ]+) (/\S*)`$", text_of(REFERENCE / "http.md"), re.MULTILINE
        )
        for method in methods.split(", ")
    }
    there = {
        (method, anonymous(route.path))
        for route in routes(lambda: pytest.fail("nothing is asked of a service here"))
        for method in route.endpoint.methods
    }
    assert there <= documented
    # HEAD needs no entry of its own where there is GET.
    assert documented - there <= {("HEAD", path) for method, path in there if method == "GET"}


def test_the_page_of_python_has_every_public_name_and_no_other() -> None:
    documented = {title.strip("`") for title in sections(REFERENCE / "python.md")}
    assert documented - {"Further doors"} == set(tailrace.__all__)


# --- the pages themselves ---------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCED.sub("", text_of(page))):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_python_block_compiles(page: Path) -> None:
    for indent, language, block in FENCED.findall(text_of(page)):
        if language == "python":
            ast.parse(re.sub(f"^{indent}", "", block, flags=re.MULTILINE), name_of(page))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_fence_is_closed(page: Path) -> None:
    assert "```" not in FENCED.sub("", text_of(page))


@pytest.mark.parametrize("page", DECISIONS, ids=name_of)
def test_a_decision_is_one_page_in_three_parts(page: Path) -> None:
    number = int(page.name.partition("-")[0])
    assert text_of(page).startswith(f"# {number}. ")
    assert list(sections(page)) == ["Context", "Decision", "Consequences"]
    assert len(text_of(page).splitlines()) <= 60


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [page.name.partition("-")[0] for page in DECISIONS]
    assert numbers == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page.is_dir():
            left += page.glob("*.md")
        elif page not in reached and page.suffix == ".md":
            reached.add(page)
            targets = LINK.findall(FENCED.sub("", text_of(page)))
            left += [
                (page.parent / target.partition("#")[0]).resolve()
                for target in targets
                if "://" not in target
            ]
    assert set(PAGES) <= reached


def test_every_page_that_the_source_names_is_there() -> None:
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    for source in sources:
        for name in re.findall(r"docs/(?:decisions|reference|howto)/[\w.-]+", text_of(source)):
            stem = name.removesuffix(".md").rstrip(".")
            assert list(ROOT.glob(f"{stem}*.md")), f"{source} names {name}"


# --- reading Markdown -------------------------------------------------------------------------


def text_of(path: Path) -> str:
    return path.read_text("utf-8")


def sections(page: Path) -> dict[str, str]:
    """Return the sections of the second level: title and text."""
    _, *parts = re.split(r"^## (.+)\n", FENCED.sub("", text_of(page)), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def rows(text: str) -> list[list[str]]:
    """Return the rows of all tables in a text but for their heads, cell by cell."""
    lines = text.splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line, before in zip(lines[1:], lines, strict=False)
        if line.startswith("|") and before.startswith("|") and not line.startswith("| ---")
    ]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(FENCED.sub("", text_of(page)))
    }


def anonymous(path: str) -> str:
    """Return a path whose parameters have lost their names."""
    return re.sub(r"\{[^}]*\}", "{}", path)
