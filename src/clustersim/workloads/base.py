"""What every workload gives to the run and to the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import simpy

from clustersim.engine.world import World

__all__ = ["Outcome", "Table", "Workload"]

Table = Mapping[str, np.ndarray]
"""Columns of equal length, by name; `clustersim.workloads.columns` documents each."""


@dataclass(frozen=True)
class Outcome:
    """What one workload did, finished or not: plain data, no simulation objects.

    Parameters
    ----------
    name, kind
        Of the workload.
    metrics
        Flat: `iteration_s.mean`, `ttft_s.p99`, …; SI units, the unit in the name.
        A metric that could not be computed is absent, never NaN.
    tables
        Tidy tables: `iterations`, `requests`, `steps`, …
    attribution
        Resource to its share of the workload's time; sums to 1 (empty if nothing ran).
        For training: of all complete iterations; for inference: of all request time.
    causes
        As `attribution`, but time in queues is given to what the servers did meanwhile, so that shares are
        elasticities; what stays `queueing` is idle. Empty where nothing queues for others: as `attribution`.
    complete
        False where the run ended before the workload did.
    notes
        Sentences that a reader must know (a warning, a range that was left).
    facts
        What the workload was found to be: model parameters, memory per GPU, GPUs, …
    """

    name: str
    kind: str
    metrics: Mapping[str, float]
    tables: Mapping[str, Table]
    attribution: Mapping[str, float]
    complete: bool
    notes: tuple[str, ...] = ()
    facts: Mapping[str, float | str] = field(default_factory=dict)
    causes: Mapping[str, float] = field(default_factory=dict)


class Workload(Protocol):
    """A process over the engine. Give a class these names and methods to write one of your own."""

    name: str
    kind: str

    def start(self, world: World) -> simpy.Process:
        """Begin; the process ends when the workload is done."""

    def progress(self) -> float:
        """How much is done, from 0 to 1, for the progress bar."""

    def outcome(self) -> Outcome:
        """What happened so far; callable at any time."""
