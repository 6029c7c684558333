import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tailrace.intake.producers.speech import espeak

TEXT = "The quick brown fox jumps over the lazy dog, and the dog sleeps on."


@pytest.fixture
def command(engine):
    def with_arguments(voice="gmw/en", speed=1.0, data=engine.data):
        program = [sys.executable, "-I", "-S", espeak.__file__]
        return [*program, str(engine.library), str(data), voice, str(speed)]

    return with_arguments


@pytest.fixture
def speak(command):
    """Run the program and return what came of it."""
    return lambda text, **arguments: subprocess.run(
        command(**arguments), input=text.encode(), capture_output=True, timeout=60
    )


@pytest.fixture
def seconds(speak):
    def of(text, **arguments):
        spoken = speak(text, **arguments)
        assert spoken.returncode == 0, spoken.stderr
        return len(spoken.stdout) / espeak.SAMPLE_BYTES / espeak.SAMPLE_RATE

    return of


def test_a_sentence_takes_about_as_long_as_its_words_at_175_a_minute(seconds):
    assert seconds(TEXT) == pytest.approx(len(TEXT.split()) / 175 * 60, rel=0.25)


@pytest.mark.parametrize("voice", ["gmw/en", "sit/cmn-Latn-pinyin", "gmw/en+klatt"])
@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8, 4.0])
def test_length_is_inverse_to_speed(seconds, voice, speed):
    text = TEXT if voice.startswith("gmw") else "今天天气很好,我们去公园散步吧。晚上回家吃饭。"
    usual = seconds(text, voice=voice)
    assert seconds(text, voice=voice, speed=speed) * speed == pytest.approx(usual, rel=0.12)


def test_whole_samples_come_out(speak):
    for speed in (0.3, 1, 3):
        assert len(speak(TEXT, speed=speed).stdout) % espeak.SAMPLE_BYTES == 0


def test_the_same_text_sounds_the_same_each_time(speak):
    assert speak(TEXT).stdout == speak(TEXT).stdout


def test_an_unknown_voice_is_a_failure_with_a_reason(speak):
    spoken = speak(TEXT, voice="xx/none")
    assert (spoken.returncode, spoken.stdout) == (1, b"")
    assert spoken.stderr == b"espeak-ng has no voice xx/none\n"


def test_missing_data_are_a_failure_with_a_reason(speak, tmp_path):
    spoken = speak(TEXT, data=tmp_path)
    assert (spoken.returncode, spoken.stdout) == (1, b"")
    assert f"espeak-ng cannot use its data at {tmp_path}".encode() in spoken.stderr


def test_it_ends_when_nobody_listens(command):
    long_text = TEXT.encode() * 2000  # hours of speech: it cannot all lie in the pipe
    with subprocess.Popen(command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(long_text)
        program.stdin.close()
        assert program.stdout.read(1)
        program.stdout.close()
        program.wait(timeout=60)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x" * 10_000, id="a word of 10,000 letters"),
        pytest.param("9" * 1_000, id="a number of 1,000 digits"),
        pytest.param("e" + "\u0301" * 5_000, id="5,000 accents on one letter"),
        pytest.param("(" * 50_000, id="50,000 parentheses"),
        pytest.param("👩‍👩‍👧‍👦" * 100, id="emoji joined by ZWJ"),
        pytest.param("\u202eabc\u2066", id="marks of direction"),
        pytest.param("\ue001\ue03c", id="characters for private use"),
        pytest.param("𠮷野家", id="beyond the basic plane"),
    ],
)
def test_it_survives(speak, text):
    assert speak(text).returncode == 0


def test_nothing_is_imported_that_is_slow_to_start():
    tree = ast.parse(Path(espeak.__file__).read_text())
    plain = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    parts = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert plain | parts == {"__future__", "ctypes", "sys"}
