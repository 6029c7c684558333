"""These run with the extra and without it."""

import subprocess
import sys

import pytest

WITHOUT = """
import asyncio, sys
sys.modules[{module!r}] = None
from tailrace.errors import ConfigurationError, InvalidArguments
from tailrace.intake.producers import producer
from tailrace.intake.producers.speech import file_name, known_languages, media_type, speech

declared = producer(media_type=media_type, name=file_name)(speech)
assert "examples" not in declared.arguments.model_json_schema()["properties"]["language"]

async def run():
    async for _ in speech("hello"):
        pass

sentence = "speech is not installed here: pip install 'tailrace[speech]'"
for use in known_languages, lambda: asyncio.run(run()):
    try:
        use()
    except ConfigurationError as exc:
        assert str(exc) == sentence, exc
    else:
        raise AssertionError(use)
try:
    declared.validate({{"text": "hello"}})
except (ConfigurationError, InvalidArguments) as exc:
    assert sentence in str(exc), exc
else:
    raise AssertionError("validated")
"""


@pytest.mark.parametrize("module", ["espeakng_loader", "lameenc"])
def test_without_the_extra_the_first_use_says_what_to_install(module):
    program = [sys.executable, "-W", "error", "-c", WITHOUT.format(module=module)]
    tried = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert tried.returncode == 0, tried.stderr
