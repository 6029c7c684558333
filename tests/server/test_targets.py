import json
from pathlib import Path

import pytest

from tailrace.server import targets
from tailrace.server.targets import Target

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "targets.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_target_is_read_as_the_standard_says(vector):
    target = targets.parse(vector.get("method", "GET").encode(), vector["target"].encode())
    if "octets" not in vector:
        assert target is None
    else:
        authority = vector.get("authority")
        expected = Target(vector["octets"].encode(), authority and authority.encode())
        assert target == expected


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_what_is_in_origin_form_already_stays_as_it_is(vector):
    octets = vector["target"].encode()
    if targets.is_origin_form(octets):
        assert targets.parse(b"GET", octets) == Target(octets)
