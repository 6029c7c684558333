"""Tells what espeak-ng does, as JSON: run by conftest.py, with no tailrace in it.

python listener.py LIBRARY DATA phonemes VOICE TEXT
python listener.py LIBRARY DATA loudness TEXT VOICE...
"""

import array
import ctypes
import json
import sys

UTF8 = 1
SYNCHRONOUS = 2


def phonemes(library, voice, text):
    assert library.espeak_SetVoiceByName(voice.encode()) == 0, voice
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    content = ctypes.create_string_buffer(text.encode())
    rest = ctypes.c_void_p(ctypes.addressof(content))
    clauses = []
    while rest.value:
        clauses.append(library.espeak_TextToPhonemes(ctypes.byref(rest), UTF8, 0).decode())
    return " ".join(clauses)


def loudness(library, text, *voices):
    peaks = dict.fromkeys(voices, 0)

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    def hear(samples, count, events):
        if samples and count:
            heard = array.array("h", ctypes.string_at(samples, 2 * count))
            peaks[voice] = max(peaks[voice], *map(abs, heard))
        return 0

    library.espeak_SetSynthCallback(hear)
    content = text.encode()
    for voice in voices:
        assert library.espeak_SetVoiceByName(voice.encode()) == 0, voice
        length = ctypes.c_size_t(len(content) + 1)
        library.espeak_Synth(content, length, 0, 0, 0, UTF8, None, None)
    return peaks


def main(library_path, data_path, question, *rest):
    library = ctypes.CDLL(library_path)
    assert library.espeak_Initialize(SYNCHRONOUS, 0, data_path.encode(), 0) > 0
    answer = {"phonemes": phonemes, "loudness": loudness}[question](library, *rest)
    sys.stdout.write(json.dumps(answer))


main(*sys.argv[1:])
