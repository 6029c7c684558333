"""The child program: text on standard input, espeak-ng's PCM on standard output.

    python -I -S espeak.py LIBRARY DATA VOICE SPEED

Run by its path: espeak-ng keeps its state in C globals, so each synthesis has a process of
its own, and its licence (GPL-3.0-or-later) stays on this side of the pipe. What is imported
here is paid for at every start: `sys` and `ctypes`, nothing else.

VOICE is espeak-ng's own name of a voice, such as "gmw/en-US+f2". SPEED is a factor, 1 being
espeak-ng's usual 175 words a minute. PCM is 16-bit, mono, of SAMPLE_RATE; each block is
written as soon as it is made. On failure the status is 1 and the reason on standard error.
"""

from __future__ import annotations

import ctypes
import sys

SAMPLE_RATE = 22_050
SAMPLE_BYTES = 2

WORDS_PER_MINUTE = 175

# Slower than this, espeak-ng does not go (its floor is 80 words a minute); the rest is
# stretched. Faster than 450 words a minute it calls the same stretching library itself.
SLOWEST = 0.5

# Names and values of speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_DONT_EXIT = 0x8000
CHARS_UTF8 = 1
RATE = 1
DEFAULT_BUFFER = 0  # milliseconds; 0 stands for 60

GO_ON, STOP = 0, 1

SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def main(library_path: str, data_path: str, voice: str, speed: float) -> None:
    library = ctypes.CDLL(library_path)
    rate = library.espeak_Initialize(
        AUDIO_OUTPUT_SYNCHRONOUS, DEFAULT_BUFFER, data_path.encode(), INITIALIZE_DONT_EXIT
    )
    if rate != SAMPLE_RATE:
        sys.exit(f"espeak-ng cannot use its data at {data_path}")
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        sys.exit(f"espeak-ng has no voice {voice}")
    library.espeak_SetParameter(RATE, round(max(speed, SLOWEST) * WORDS_PER_MINUTE), 0)
    stretching = Stretching(library, speed / SLOWEST) if speed < SLOWEST else None
    out = sys.stdout.buffer

    def spoken(samples: int | None, count: int, events: int | None) -> int:
        if samples is None or count == 0:
            return GO_ON
        pcm = ctypes.string_at(samples, count * SAMPLE_BYTES)
        try:
            out.write(stretching.stretch(pcm) if stretching else pcm)
            out.flush()
        except OSError:  # nobody listens any more; an exception would not get through C
            return STOP
        return GO_ON

    callback = SynthCallback(spoken)
    library.espeak_SetSynthCallback(callback)
    text = sys.stdin.buffer.read()
    length_with_end = ctypes.c_size_t(len(text) + 1)
    if library.espeak_Synth(text, length_with_end, 0, 0, 0, CHARS_UTF8, None, None) != 0:
        sys.exit("espeak-ng did not speak the text")
    if stretching:
        out.write(stretching.finish())


class Stretching:
    """Slows speech down at its own pitch, by the libsonic inside espeak-ng's library."""

    def __init__(self, library: ctypes.CDLL, speed: float) -> None:
        library.sonicCreateStream.restype = ctypes.c_void_p
        self._library = library
        self._stream = ctypes.c_void_p(library.sonicCreateStream(SAMPLE_RATE, 1))
        library.sonicSetSpeed(self._stream, ctypes.c_float(speed))

    def stretch(self, pcm: bytes) -> bytes:
        """Take pcm in and return what is ready of the slower speech."""
        self._library.sonicWriteShortToStream(self._stream, pcm, len(pcm) // SAMPLE_BYTES)
        return self._read()

    def finish(self) -> bytes:
        """Return what was held back."""
        self._library.sonicFlushStream(self._stream)
        return self._read()

    def _read(self) -> bytes:
        count = self._library.sonicSamplesAvailable(self._stream)
        pcm = ctypes.create_string_buffer(count * SAMPLE_BYTES)
        self._library.sonicReadShortFromStream(self._stream, pcm, count)
        return pcm.raw


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
