"""From PCM to the formats people ask for. One encoder makes one file.

All of them begin without knowing the length and need nothing repaired at the end, so that a
file can be followed while it is spoken.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Protocol

import lameenc

# Half a megabyte a minute. At 22,050 Hz mono LAME passes what is below 10 kHz from 48 kbit/s
# up, and at 32 only what is below 8 kHz; 64 leaves room for the consonants.
MP3_KILOBITS_PER_SECOND = 64

# LAME's middle step, 380 times as fast as speech. The finer ones (2, 3) take up to twice as
# long and bring nothing measurable at this bit rate.
MP3_QUALITY = 5

# What stands for a length that is not known; readers go on to the end of the file. 0 will
# not do: to them that is a file without sound.
UNKNOWN_LENGTH = 0xFFFF_FFFF


class Encoder(Protocol):
    """Takes blocks of PCM: 16-bit little-endian, mono, whole samples."""

    def __init__(self, sample_rate: int) -> None: ...

    def encode(self, pcm: bytes) -> bytes:
        """Return what is ready to be sent; it may be empty."""

    def finish(self) -> bytes:
        """Return the rest. Something must have been encoded before."""


class Mp3:
    """MPEG layer III at a constant bit rate, which needs no header of its own."""

    def __init__(self, sample_rate: int) -> None:
        self._lame = lameenc.Encoder()
        self._lame.silence()
        self._lame.set_channels(1)
        self._lame.set_in_sample_rate(sample_rate)
        self._lame.set_bit_rate(MP3_KILOBITS_PER_SECOND)
        self._lame.set_quality(MP3_QUALITY)

    def encode(self, pcm: bytes) -> bytes:
        return bytes(self._lame.encode(pcm))

    def finish(self) -> bytes:
        return bytes(self._lame.flush())


class Wav:
    """A RIFF file of one format chunk and one data chunk, in the streaming form."""

    def __init__(self, sample_rate: int) -> None:
        self._head = wav_head(sample_rate)

    def encode(self, pcm: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + pcm

    def finish(self) -> bytes:
        return b""


ENCODERS: Mapping[str, type[Encoder]] = {"mp3": Mp3, "wav": Wav}


def wav_head(sample_rate: int) -> bytes:
    """Return all that precedes the samples.

    "Multimedia Programming Interface and Data Specifications 1.0" (Microsoft and IBM, 1991),
    "Waveform Audio File Format":

        "RIFF" length "WAVE"
        "fmt " length format channels rate bytes-per-second bytes-per-frame bits-per-sample
        "data" length samples
    """
    pcm, channels, frame_bytes, bits = 1, 1, 2, 16
    return struct.pack(
        "<4sI4s 4sIHHIIHH 4sI",
        *(b"RIFF", UNKNOWN_LENGTH, b"WAVE"),
        *(
            b"fmt ",
            16,
            pcm,
            channels,
            sample_rate,
            sample_rate * frame_bytes,
            frame_bytes,
            bits,
        ),
        *(b"data", UNKNOWN_LENGTH),
    )
