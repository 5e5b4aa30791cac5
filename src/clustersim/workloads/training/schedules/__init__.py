"""Pipeline schedules as data: for every stage a list of passes, which the engine executes.

A new schedule is a function in a file of its own, and a line in `SCHEDULES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from clustersim.errors import InputError, Problem, did_you_mean
from clustersim.workloads.training.schedules.checking import check_schedule
from clustersim.workloads.training.schedules.execution import Timed, execute, makespan
from clustersim.workloads.training.schedules.gpipe import gpipe
from clustersim.workloads.training.schedules.in_flight import InFlight, in_flight, stash
from clustersim.workloads.training.schedules.interleaved import interleaved
from clustersim.workloads.training.schedules.one_forward_one_backward import one_forward_one_backward
from clustersim.workloads.training.schedules.passes import Order, Pass, PassKind, Schedule
from clustersim.workloads.training.schedules.zero_bubble import zero_bubble

__all__ = [
    "SCHEDULES",
    "InFlight",
    "Order",
    "Pass",
    "PassKind",
    "Schedule",
    "Timed",
    "check_schedule",
    "execute",
    "in_flight",
    "kept_in_flight",
    "makespan",
    "orders",
    "stash",
]

SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        "gpipe": gpipe,
        "1f1b": one_forward_one_backward,
        "interleaved": interleaved,
        "zero-bubble": zero_bubble,
    }
)
"""Schedules by name."""


@lru_cache(maxsize=32)
def orders(name: str, *, stages: int, micro_batches: int, chunks: int = 1) -> tuple[Order, ...]:
    """Return what every stage does in an iteration.

    Raises
    ------
    InputError
        For an unknown schedule, and numbers that it cannot work with.
    """
    if name not in SCHEDULES:
        message = f"unknown schedule '{name}'.{did_you_mean(name, SCHEDULES)}"
        raise InputError(Problem(("parallelism", "schedule"), message))
    schedule = SCHEDULES[name]
    return tuple(schedule(stages, stage, micro_batches, chunks) for stage in range(stages))


@lru_cache(maxsize=1024)
def kept_in_flight(
    name: str, *, stages: int, micro_batches: int, chunks: int = 1
) -> tuple[frozenset[InFlight], ...]:
    """Return for every stage all that it keeps at some time of an iteration."""
    made = orders(name, stages=stages, micro_batches=micro_batches, chunks=chunks)
    return tuple(in_flight(order, chunks=chunks) for order in made)
