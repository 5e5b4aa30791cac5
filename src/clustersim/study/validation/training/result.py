"""A predicted row of training runs, with all that report, picture and tables need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from clustersim.study.validation.framework import Row
from clustersim.workloads.training.ledger import CATEGORIES

__all__ = ["PARTS", "TrainingResult"]

_MAKERS = re.compile(r"^(?:(?:nvidia|amd|intel|google|tesla|instinct)\s+)+", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:TPU\s*v?\w+|Gaudi\s*\d)", re.IGNORECASE)
PARTS = CATEGORIES
"""What an iteration is made of; they add up to it."""


@dataclass(frozen=True)
class TrainingResult(Row):
    """A row with what was understood and found.

    Parameters
    ----------
    table, system, gpu, gpus, framework, model, experts
        What ran where.
    held_out
        Whether it is of the table of other systems, which nothing was chosen by.
    layout
        The job that was simulated, in short: what was tried has the best choice.
    basis
        How the row states its time.
    tried
        Jobs that the row may have been.
    ran_out_of_memory
        Whether it is published as one that did not fit.
    memory_bytes, capacity_bytes
        Needed on the fullest GPU and there; 0 where nothing was simulated.
    observed_memory_bytes
        As published; None where it is not.
    parts
        Seconds of the iteration by cause: `PARTS`.
    assumed
        What was taken though the row does not say it.
    """

    table: str = ""
    system: str = ""
    gpu: str = ""
    gpus: int = 0
    framework: str = ""
    model: str = ""
    experts: bool = False
    held_out: bool = False
    layout: str = ""
    basis: str = ""
    tried: int = 0
    ran_out_of_memory: bool = False
    memory_bytes: float = 0.0
    capacity_bytes: float = 0.0
    observed_memory_bytes: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the memory model says that it fits."""
        return self.memory_bytes <= self.capacity_bytes

    @property
    def ran_on(self) -> str:
        """Its system, the round of MLPerf, where every entry has its own, or `other systems` by GPU."""
        if self.held_out:
            return f"other systems: {self.generation}"
        return self.table if self.table.startswith("MLPerf") else self.system

    @property
    def generation(self) -> str:
        """The GPU without maker, form and memory: `A100`, `TPU v5p`."""
        words = _MAKERS.sub("", self.gpu.replace("_", " "))
        known = _NUMBERED.match(words)
        return known[0] if known else words.split("-")[0].split(" ")[0].upper()
