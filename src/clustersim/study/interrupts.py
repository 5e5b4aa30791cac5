"""Ctrl-C as a flag: the event in progress is finished, nothing is left half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["InterruptFlag", "interrupt_flag"]


class InterruptFlag:
    """True once Ctrl-C was pressed; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Count one signal."""
        self._count += 1
        if self._count > 1:
            raise KeyboardInterrupt


@contextmanager
def interrupt_flag() -> Iterator[InterruptFlag]:
    """Catch Ctrl-C while the block runs (in the main thread; elsewhere the flag stays false)."""
    flag = InterruptFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = signal.signal(signal.SIGINT, flag.handle)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)
