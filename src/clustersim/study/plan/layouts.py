"""What a plan search knows of one layout: before it is simulated, and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from clustersim.spec.training import TrainingSpec

__all__ = ["FIELDS", "Assessed", "Candidate", "Simulated", "layout_words"]

FIELDS = (
    "tensor",
    "pipeline",
    "virtual_stages",
    "context",
    "context_exchange",
    "expert",
    "data",
    "zero",
    "schedule",
    "micro_batch",
    "micro_batches",
    "recompute",
    "recompute_layers",
)
"""What layouts differ in: columns of tables."""

Fate = Literal["fits", "does not fit", "cannot be divided"]


@dataclass(frozen=True, kw_only=True)
class Assessed:
    """What is known of a layout without simulating it.

    Parameters
    ----------
    fate
        Whether it can run.
    memory
        Bytes by use on a GPU of the fullest stage.
    bound_s
        A time that its iteration cannot be shorter than.
    network_bytes
        That leave nodes in an iteration, over the GPUs.
    reason
        Why it cannot be divided.
    """

    fate: Fate
    memory: Mapping[str, float] = field(default_factory=dict)
    bound_s: float = 0.0
    network_bytes: float = 0.0
    reason: str = ""

    @property
    def memory_bytes(self) -> float:
        """All of `memory`."""
        return sum(self.memory.values())


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What one simulated iteration says.

    Parameters
    ----------
    metrics
        As `clustersim.workloads.training.columns.METRICS`.
    wall_s
        What the simulation took.
    error
        Why there is none.
    whole
        Whether every micro-batch was simulated; otherwise see `clustersim.study.plan.steady`.
    """

    iteration_s: float = float("inf")
    metrics: Mapping[str, float] = field(default_factory=dict)
    wall_s: float = 0.0
    error: str = ""
    whole: bool = True


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A layout of the search.

    Parameters
    ----------
    number
        Place in the order of enumeration: ties are broken by it.
    simulated
        None where it was not simulated.
    """

    number: int
    spec: TrainingSpec
    assessed: Assessed
    simulated: Simulated | None = None

    @property
    def iteration_s(self) -> float:
        """Simulated time of an iteration; infinite without one."""
        return float("inf") if self.simulated is None else self.simulated.iteration_s

    @property
    def layout(self) -> dict[str, Any]:
        """The fields in which layouts differ."""
        return layout_fields(self.spec)

    @property
    def words(self) -> str:
        """The layout as people write it: `TP8 PP4×2 DP8, micro-batch 1, ZeRO 1`."""
        return layout_words(self.spec)

    def document(self) -> dict[str, Any]:
        """Return all of it, JSON-able."""
        simulated = None if self.simulated is None else asdict(self.simulated)
        return {"layout": self.layout, **asdict(self.assessed), "simulated": simulated}


def layout_fields(spec: TrainingSpec) -> dict[str, Any]:
    """Return the fields in which layouts differ."""
    parallelism = spec.parallelism
    data = spec.gpus // (parallelism.tensor * parallelism.pipeline * parallelism.context)
    batch = spec.micro_batch * data if spec.global_batch is None else spec.global_batch
    own = {
        "data": data,
        "schedule": parallelism.chosen_schedule if parallelism.pipeline > 1 else "none",
        "micro_batch": spec.micro_batch,
        "micro_batches": batch // (spec.micro_batch * data),
        "recompute": spec.recompute,
        "recompute_layers": spec.recompute_layers,
        "context_exchange": parallelism.context_exchange if parallelism.context > 1 else "none",
    }
    return {name: own[name] if name in own else getattr(parallelism, name) for name in FIELDS}


_RECOMPUTED = {"none": "", "selective": "selective recompute", "full": "full recompute"}


def layout_words(spec: TrainingSpec) -> str:
    """Write a layout in one line."""
    layout = layout_fields(spec)
    chunks = f"×{layout['virtual_stages']}" if layout["virtual_stages"] > 1 else ""
    sizes = {"TP": "tensor", "CP": "context", "PP": "pipeline", "EP": "expert", "DP": "data"}
    words = [
        f"{short}{layout[name]}{chunks if name == 'pipeline' else ''}"
        for short, name in sizes.items()
        if layout[name] > 1
    ]
    further = [f"mb {layout['micro_batch']}"]
    further += [f"ZeRO {layout['zero']}"] if layout["zero"] else []
    further += ["ZB-H1"] if layout["schedule"] == "zero-bubble" else []
    further += ["all-gathered context"] if layout["context_exchange"] == "all-gather" else []
    recomputed = _RECOMPUTED[layout["recompute"]]
    if layout["recompute_layers"]:
        recomputed += f" of {layout['recompute_layers']} layers"
    further += [recomputed] if recomputed else []
    return f"{' '.join(words) or 'one GPU'}, {', '.join(further)}"
