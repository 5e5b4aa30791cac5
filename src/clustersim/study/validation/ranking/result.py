"""A predicted row of ranking models, with all that report, picture and tables need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from clustersim.study.validation.framework import Row

__all__ = ["RankingResult"]

_MAKERS = re.compile(r"^(?:(?:nvidia|amd|intel|google|tesla|instinct|blackwell|gpu)\s+)+", re.IGNORECASE)


@dataclass(frozen=True)
class RankingResult(Row):
    """A row of training with what was understood and found.

    Parameters
    ----------
    table, system, gpu, gpus, framework, model, batch, precision
        What ran where; `batch` is that of all GPUs.
    accelerator
        The catalogue's.
    held_out
        Whether it is of the table of other systems, which nothing was chosen by.
    basis
        How the row states its time.
    parts
        Share of the step by resource; they add up to one.
    memory_gib
        Needed on the fullest GPU.
    assumed
        What was taken though the row does not say it.
    """

    table: str = ""
    system: str = ""
    gpu: str = ""
    gpus: int = 0
    framework: str = ""
    model: str = ""
    batch: int = 0
    precision: str = ""
    accelerator: str = ""
    held_out: bool = False
    basis: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)
    memory_gib: float | None = None
    assumed: tuple[str, ...] = ()

    @property
    def generation(self) -> str:
        """The GPU without maker, form and memory: `A100`, `H100 PCIe`."""
        name = self.accelerator or _MAKERS.sub("", self.gpu.replace("_", " ").lower()).replace(" ", "-")
        chip, *rest = name.split("-")
        return f"{chip.upper()} PCIe" if "pcie" in rest else chip.upper()

    @property
    def kind(self) -> str:
        """Framework and GPU, by which errors are averaged."""
        return f"{self.framework}, {self.generation}"
