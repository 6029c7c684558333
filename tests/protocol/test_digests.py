import base64
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import MalformedField
from tailrace.protocol import digests

FOLDER = Path(__file__).parents[1] / "vectors"
DIGESTS = json.loads((FOLDER / "digests.json").read_text())
WANTED = json.loads((FOLDER / "wanted_digests.json").read_text())


def vectors(chosen):
    return pytest.mark.parametrize("vector", chosen, ids=lambda vector: vector["name"])


@vectors([vector for vector in DIGESTS if "digests" in vector])
def test_digests_are_read(vector):
    expected = {
        algorithm: base64.b64decode(digest) for algorithm, digest in vector["digests"].items()
    }
    assert digests.parse(vector["value"], "Repr-Digest") == expected


@vectors([vector for vector in DIGESTS if "malformed" in vector])
def test_digests_that_cannot_be_read_are_refused(vector):
    with pytest.raises(MalformedField) as raised:
        digests.parse(vector["value"], "Content-Digest")
    assert raised.value.name == "Content-Digest"


@vectors([vector for vector in DIGESTS if "content" in vector])
def test_a_digest_is_written_as_the_standard_writes_it(vector):
    sha256 = hashlib.sha256(vector["content"].encode()).digest()
    assert digests.to_field(sha256) == vector["value"]


@vectors(WANTED)
def test_the_algorithm_that_is_wanted_most_is_told(vector):
    assert digests.wanted(vector["value"]) == vector["wanted"]


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_that_is_written_is_read_back(sha256):
    assert digests.parse(digests.to_field(sha256), "Repr-Digest") == {"sha-256": sha256}
