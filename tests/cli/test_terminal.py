import io
import os
import signal
import sys

import pytest

from tailrace.cli import terminal
from tailrace.cli.terminal import complain, human_length, printable, progress_bar, terminable


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024 * 1023, "1.0 MiB"),
        (1024**2, "1.0 MiB"),
        (4 * 1024**3, "4.0 GiB"),
        (1024**6, "1024.0 PiB"),
    ],
)
def test_a_length_is_read_by_people(length, text):
    assert human_length(length) == text


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "a\nb", "a\rb", "\u202eevil", "\x9b1m", "\x07"]
)
def test_what_moves_the_cursor_is_not_shown(text):
    assert printable(text).isprintable()


def test_what_people_write_is_shown():
    assert printable("naïve 日本 file.txt") == "naïve 日本 file.txt"


def test_a_complaint_is_one_line_on_standard_error(capsys):
    complain("this\nand that")
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def at_a_terminal(monkeypatch):
    """Make standard error a terminal from here on; give what it shows."""

    def at_a_terminal(*, bar_after_seconds):
        screen = Screen()
        # Within the test, for pytest sets standard error anew after the fixtures.
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setattr(terminal, "_BAR_AFTER_SECONDS", bar_after_seconds)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        return screen

    return at_a_terminal


def test_without_a_terminal_there_is_no_bar():
    with progress_bar("name") as progress:
        assert progress is None


def test_a_transfer_that_is_soon_done_shows_no_bar(at_a_terminal):
    screen = at_a_terminal(bar_after_seconds=60)
    with progress_bar("name") as progress:
        progress(1, 2)
    assert screen.getvalue() == ""


def test_a_bar_shows_name_and_lengths(at_a_terminal):
    screen = at_a_terminal(bar_after_seconds=-1)
    with progress_bar("[red]na\x1bme") as progress:
        progress(1024, 4096)
        progress(2048, 4096)
    assert "[red]na\ufffdme" in screen.getvalue()
    assert "2.0/4.0 KiB" in screen.getvalue()


def test_a_bar_of_unknown_length_is_shown(at_a_terminal):
    screen = at_a_terminal(bar_after_seconds=-1)
    with progress_bar("name") as progress:
        progress(1024, None)
    assert "name" in screen.getvalue()


def test_sigterm_interrupts_and_only_within():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
