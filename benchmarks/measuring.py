"""Seconds of CPU, megabytes, and the events per second of plain simpy."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import simpy

Answer = TypeVar("Answer")


def best_cpu_s(
    prepare: Callable[[], Callable[[], Answer]], *, repeat: int, spend_s: float = 4.0
) -> tuple[float, Answer]:
    """Return the least CPU seconds of some repetitions, and the answer of the last.

    `prepare` makes what is timed and is not timed itself. No repetition starts after
    `spend_s` CPU seconds: a long run needs no rest from noise.
    """
    best_s, spent_s = float("inf"), 0.0
    for _ in range(repeat):
        timed = prepare()
        gc.collect()
        started = time.process_time()
        answer = timed()
        took_s = time.process_time() - started
        best_s, spent_s = min(best_s, took_s), spent_s + took_s
        if spent_s > spend_s:
            break
    return best_s, answer


def simpy_events_per_s(events: int) -> float:
    """Return what a process that does nothing but wait reaches: the ceiling on this machine."""

    def waits(env: simpy.Environment) -> Generator[simpy.Event, Any, None]:
        for _ in range(events):
            yield env.timeout(1.0)

    def prepare() -> Callable[[], None]:
        env = simpy.Environment()
        env.process(waits(env))
        return env.run

    return events / best_cpu_s(prepare, repeat=3)[0]


def events_scheduled(env: simpy.Environment) -> int:
    """Return how many events simpy has scheduled; asking takes the next number."""
    return int(next(env._eid))


def peak_mib(who: int = resource.RUSAGE_SELF) -> float:
    """Return the most memory that this process, or its largest child, has had, in MiB."""
    return resource.getrusage(who).ru_maxrss / 1024
