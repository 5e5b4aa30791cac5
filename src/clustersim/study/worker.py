"""The other end of `executor`: reads one call from stdin, writes its value to stdout.

The process ends when its stdin does, so none stays behind if the study is killed.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from typing import BinaryIO

__all__ = ["main"]


def main() -> None:
    """Serve one call."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a model prints must not get between
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    request = requests.read(int.from_bytes(requests.read(8), "big"))
    threading.Thread(target=_stop_with, args=(requests,), daemon=True).start()
    answers.write(_answer(request))
    answers.flush()
    # The watching thread still holds stdin; leave without waiting for it.
    os._exit(0)


def _answer(request: bytes) -> bytes:
    """Pickle the value of the call, or the exception that it raised."""
    try:
        function, argument = pickle.loads(request)
        return pickle.dumps(function(argument))
    except Exception as error:
        return _pickled_error(error)


def _pickled_error(error: Exception) -> bytes:
    """Pickle an exception; one that would not come out again is replaced by its text."""
    try:
        answer = pickle.dumps(error)
        pickle.loads(answer)
    except Exception:
        answer = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return answer


def _stop_with(stream: BinaryIO) -> None:
    stream.read(1)
    os._exit(1)


if __name__ == "__main__":
    main()
