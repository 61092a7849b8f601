"""eSpeak NG as a program of its own: utterances in, waveforms out.

    python espeak.py LIBRARY DATA_FOLDER < requests.json > answers

A request is a list of {"text", "voice", "rate", "pitch", "noise"}; the answer to each is one line of JSON,
{"samples": n, "phonemes": "..."}, followed by n samples (16 bit, mono, `SAMPLE_RATE`, in the machine's byte
order).

Why apart. The library keeps state between utterances that nothing resets (the same word twice in one
process sounds different), so each is spoken by a fresh copy, forked after the library's start: what is said
then depends on the request alone. Forking is safe here, in a process with one thread and without numpy. And
where its data path is longer than 158 characters the library ends the process it lives in, so the path is
given relative to the working directory.

Standard library only; run by `spsn.data.speech`.
"""

import ctypes
import json
import os
import sys

SAMPLE_RATE = 22_050  # Hz
SYNCHRONOUS, UTF8, AT_CHARACTER = 2, 1, 1
RATE, PITCH = 1, 3  # numbers of espeak_SetParameter
WAVE_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def load(library: str, data: str) -> ctypes.CDLL:
    """Return the library, started. Ends the process where it cannot start."""
    espeak = ctypes.CDLL(library)
    espeak.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    espeak.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    espeak.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
    espeak.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    espeak.espeak_SetSynthCallback.argtypes = [WAVE_CALLBACK]
    espeak.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.POINTER(ctypes.c_uint),
        ctypes.c_void_p,
    ]
    espeak.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
    espeak.espeak_TextToPhonemes.restype = ctypes.c_char_p
    rate = espeak.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), 0)
    if rate != SAMPLE_RATE:
        sys.exit(f"eSpeak NG answers {rate} instead of {SAMPLE_RATE} samples a second")
    return espeak


def speak(espeak: ctypes.CDLL, request: dict) -> tuple[bytes, str]:
    """Return the waveform (bytes of 16-bit samples) and the phonemes of one request."""
    if espeak.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        sys.exit(f"eSpeak NG has no voice {request['voice']!r}")
    espeak.espeak_SetParameter(RATE, request["rate"], 0)
    espeak.espeak_SetParameter(PITCH, request["pitch"], 0)
    espeak.espeak_ng_SetRandSeed(request["noise"])
    pieces: list[bytes] = []

    def collect(wave, samples, _event) -> int:
        if wave and samples > 0:
            pieces.append(ctypes.string_at(wave, 2 * samples))
        return 0

    callback = WAVE_CALLBACK(collect)  # named, so that it outlives the synthesis
    espeak.espeak_SetSynthCallback(callback)
    text = request["text"].encode()
    if espeak.espeak_Synth(text, len(text) + 1, 0, AT_CHARACTER, 0, UTF8, None, None) != 0:
        sys.exit(f"eSpeak NG cannot say {request['text']!r}")
    espeak.espeak_Synchronize()
    phonemes = espeak.espeak_TextToPhonemes(ctypes.byref(ctypes.c_char_p(text)), UTF8, 0) or b""
    return b"".join(pieces), phonemes.decode().strip()


def answer(espeak: ctypes.CDLL, request: dict) -> None:
    """Speak one request in a fork of this process and write the answer; end the process if the fork fails."""
    child = os.fork()
    if child == 0:
        wave, phonemes = speak(espeak, request)
        header = json.dumps({"samples": len(wave) // 2, "phonemes": phonemes})
        sys.stdout.buffer.write(header.encode() + b"\n" + wave)
        sys.stdout.buffer.flush()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        sys.exit(f"eSpeak NG failed ({status}) at {request['text']!r} in voice {request['voice']!r}")


if __name__ == "__main__":
    library, data = sys.argv[1:]
    requests = json.load(sys.stdin)
    started = load(library, data)
    for one in requests:
        answer(started, one)
