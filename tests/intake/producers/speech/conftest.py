"""What the tests of speech share."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

LISTENER = Path(__file__).with_name("listener.py")


def listen(engine, question, *rest):
    """Ask espeak-ng in a process of its own, as its state is global."""
    command = [
        sys.executable,
        "-I",
        "-S",
        LISTENER,
        engine.library,
        engine.data,
        question,
        *rest,
    ]
    asked = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    return json.loads(asked.stdout)


@pytest.fixture(scope="session")
def engine():
    pytest.importorskip("espeakng_loader", reason="the extra tailrace[speech] is not here")
    from tailrace.intake.producers.speech.engine import installed_engine

    return installed_engine()


@pytest.fixture(scope="session")
def phonemes(engine):
    """Tell what a voice makes of a text, in espeak-ng's own notation."""
    return lambda voice, text: listen(engine, "phonemes", voice, text)


@pytest.fixture(scope="session")
def loudness(engine):
    """Tell the highest sample of each voice saying a text."""
    return lambda text, voices: listen(engine, "loudness", text, *voices)


@pytest.fixture
def children(monkeypatch):
    """The transports of all child processes that asyncio starts in this test, in order."""
    started = []
    start = asyncio.BaseEventLoop.subprocess_exec

    async def remember(loop, *args, **kwargs):
        transport, protocol = await start(loop, *args, **kwargs)
        started.append(transport)
        return transport, protocol

    monkeypatch.setattr(asyncio.BaseEventLoop, "subprocess_exec", remember)
    return started
