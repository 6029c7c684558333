"""A run as its producer sees it."""

import pytest

from tailrace.intake.producers.run import Facts, Progress, Run

pytestmark = pytest.mark.anyio


@pytest.fixture
def run(tmp_path):
    return Run(name="a.csv", media_type=None, scratch=tmp_path / "scratch" / "one")


def test_until_something_is_said_the_file_is_as_it_was_declared(run):
    assert run.begin() == Facts("a.csv", "text/csv", None)


def test_what_is_said_before_the_first_byte_counts(run):
    run.name, run.media_type, run.length = "b.bin", "Text/Plain; charset=utf-8", 3
    assert run.begin() == Facts("b.bin", "text/plain;charset=utf-8", 3)


def test_the_type_follows_from_the_name_unless_it_is_said(run, tmp_path):
    run.name = "a.pdf"
    assert run.media_type == "application/pdf"
    declared = Run(name="a.csv", media_type="text/plain", scratch=tmp_path)
    declared.name = "a.pdf"
    assert declared.begin() == Facts("a.pdf", "text/plain", None)


@pytest.mark.parametrize(
    ("fact", "value"), [("name", "b"), ("media_type", "text/plain"), ("length", 1)]
)
def test_nothing_can_be_said_after_the_first_byte(run, fact, value):
    before = run.begin()
    with pytest.raises(ValueError, match="before its first byte"):
        setattr(run, fact, value)
    assert run.begin() == before


@pytest.mark.parametrize("media_type", ["", "csv", "text/plain\r\nA: b"])
def test_a_media_type_that_is_none_is_refused_where_it_is_said(run, media_type):
    with pytest.raises(ValueError, match="Content-Type"):
        run.media_type = media_type


def test_a_length_below_nothing_is_refused(run):
    with pytest.raises(ValueError, match="-1 bytes"):
        run.length = -1


def test_progress_is_what_was_last_told(run):
    assert run.told is None
    run.progress(1, 10, "drawing")
    run.progress(2)
    assert run.told == Progress(2, None, None)


async def test_a_scratch_directory_is_its_own_and_is_removed_with_all_that_is_in_it(run):
    assert run.scratch == run.scratch
    (run.scratch / "deep").mkdir()
    (run.scratch / "deep" / "file").write_bytes(b"x")
    assert run.scratch.stat().st_mode & 0o777 == 0o700
    await run.close()
    assert not run.scratch.parent.joinpath("one", "deep").exists()


async def test_no_directory_is_made_that_nobody_asks_for(run, tmp_path):
    await run.close()
    assert list(tmp_path.iterdir()) == []


async def test_who_ends_a_run_lets_it_know(run):
    assert not run.is_cancelled
    await run.close()
    assert run.is_cancelled
