import array
import io
import json
import math
import wave
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("lameenc", reason="the extra tailrace[speech] is not here")

from tailrace.intake.producers.speech.encoders import (
    ENCODERS,
    MP3_KILOBITS_PER_SECOND,
    Mp3,
    wav_head,
)

RATE = 22_050
VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "wav_heads.json").read_text())

# MPEG-2 Layer III (ISO/IEC 13818-3): the bit rates by their index, and a frame's samples.
KILOBITS = (None, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
FRAME_SAMPLES = 576


def tone(seconds):
    """A chord, as loud as speech."""
    return array.array(
        "h",
        (
            int(8000 * math.sin(i * 0.06) + 4000 * math.sin(i * 0.31))
            for i in range(int(seconds * RATE))
        ),
    ).tobytes()


def encode(encoder, *blocks):
    return b"".join([*map(encoder.encode, blocks), encoder.finish()])


def frames(content):
    """Split an MP3 into its frames; fail where a byte belongs to none."""
    offset = 0
    while offset < len(content):
        head = int.from_bytes(content[offset : offset + 4])
        assert head >> 21 == 0x7FF, f"no frame sync at {offset}"
        assert head >> 19 & 0b11 == 0b10, "MPEG version 2"
        assert head >> 17 & 0b11 == 0b01, "Layer III"
        assert head >> 10 & 0b11 == 0b00, "22,050 Hz"
        assert head >> 6 & 0b11 == 0b11, "one channel"
        kilobits = KILOBITS[head >> 12 & 0b1111]
        assert kilobits == MP3_KILOBITS_PER_SECOND
        length = FRAME_SAMPLES // 8 * kilobits * 1000 // RATE + (head >> 9 & 1)
        yield content[offset : offset + length]
        offset += length
    assert offset == len(content), "the last frame is cut"


# --- WAV ----------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_head_of_a_wav_is(vector):
    assert wav_head(vector["sample_rate"]) == bytes.fromhex(vector["head"])


def test_a_wav_is_its_head_and_the_samples():
    pcm = tone(0.1)
    assert encode(ENCODERS["wav"](RATE), pcm[:1000], pcm[1000:]) == wav_head(RATE) + pcm


def test_the_standard_library_reads_a_wav_to_its_end():
    pcm = tone(0.1)
    with wave.open(io.BytesIO(encode(ENCODERS["wav"](RATE), pcm))) as reader:
        assert reader.getparams()[:3] == (1, 2, RATE)
        assert reader.readframes(reader.getnframes()) == pcm


# --- MP3 ----------------------------------------------------------------------------------


def test_an_mp3_is_frames_and_nothing_else():
    assert all(frames(encode(Mp3(RATE), tone(1))))


@pytest.mark.parametrize("seconds", [0.01, 0.5, 1, 3])
def test_an_mp3_lasts_as_long_as_its_pcm(seconds):
    samples = len(tone(seconds)) // 2
    encoded = FRAME_SAMPLES * sum(1 for _ in frames(encode(Mp3(RATE), tone(seconds))))
    # An encoder's delay and the filling of the last frames make up less than four more.
    assert samples <= encoded < samples + 4 * FRAME_SAMPLES


def test_the_first_frame_comes_with_the_first_block():
    assert Mp3(RATE).encode(tone(0.06))[:2] == b"\xff\xf3"


def test_two_encoders_share_nothing():
    pcm = tone(0.5)
    first, second = Mp3(RATE), Mp3(RATE)
    halves = [first.encode(pcm[:5000]), second.encode(pcm), first.encode(pcm[5000:])]
    assert halves[0] + halves[2] + first.finish() == encode(Mp3(RATE), pcm)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(ENCODERS)), st.lists(st.integers(0, 5000), max_size=8))
def test_how_the_pcm_is_cut_does_not_change_the_file(file_format, cuts):
    pcm = tone(5000 / RATE)
    edges = [0, *(2 * cut for cut in sorted(cuts)), len(pcm)]
    blocks = [pcm[start:stop] for start, stop in pairwise(edges)]
    whole = encode(ENCODERS[file_format](RATE), pcm)
    assert encode(ENCODERS[file_format](RATE), *filter(None, blocks)) == whole
