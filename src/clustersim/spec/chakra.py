"""What a scenario may say about the replay of an execution trace."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from clustersim.spec._base import FileReference, SpecModel
from clustersim.spec.placement import PlacementSpec
from clustersim.spec.traffic import TrafficSpec
from clustersim.spec.training import CollectiveSpec
from clustersim.units import TIME, TimeQuantity, quantity

__all__ = ["ChakraSpec"]


class ChakraSpec(SpecModel):
    """A Chakra execution trace (MLCommons), one file per rank, run again on the cluster."""

    kind: Literal["chakra"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    """Name of the workload in all outputs."""
    trace: Annotated[str, FileReference(numbered=".et")]
    """What the names of the files begin with: `traces/gpt` for `traces/gpt.0.et`, `traces/gpt.1.et`, …;
    or the folder that holds them and no others. Relative to the scenario file."""
    groups: Annotated[str | None, FileReference()] = None
    """Communicator groups as ASTRA-sim takes them: JSON that maps the number of a group (`pg_name` of a
    node) to its ranks. Default: all collectives are of all ranks."""
    gpus: Annotated[int, Field(ge=1)]
    """GPUs; the trace has a file for each."""
    placement: PlacementSpec = PlacementSpec()
    """Where its GPUs are."""
    compute: Literal["recorded", "roofline"] = "recorded"
    """`recorded`: computations take the duration of the trace, those without one what a roofline says;
    `roofline`: all that say how many operations they are take what a roofline says."""
    precision: Literal["fp32", "tf32", "fp16", "bf16", "fp8"] = "bf16"
    """Whose peak rate the roofline has."""
    contention: bool = False
    """Whether computation takes longer while collectives run beside it, as in training jobs. Durations that
    were recorded on a GPU have that in them (false); those of `clustersim chakra export` and of a
    roofline do not (true)."""
    iterations: Annotated[int, Field(ge=1)] = 1
    """How often the trace is run, one time after the other."""
    collective: CollectiveSpec = CollectiveSpec()
    """Algorithm and fidelity of collectives."""
    traffic: TrafficSpec = TrafficSpec()
    """How its bytes compete with those of other workloads."""
    start: TimeQuantity = quantity("0 s", TIME)
    """When it starts."""
