"""Sparse synchronisation: workers take steps of their own and average what they have learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from clustersim.catalog.accelerators import Accelerator
from clustersim.cost.operators import elementwise
from clustersim.cost.roofline import KernelTime, Roofline
from clustersim.cost.training.training_cost import LayerCost
from clustersim.spec.training import TrainingSpec
from clustersim.workloads.training.layout import Layout
from clustersim.workloads.training.memory import MemoryBreakdown
from clustersim.workloads.training.program import Await, Compute, Instruction, Launch
from clustersim.workloads.training.stages import stage_chunks

__all__ = ["OuterStep", "with_outer_states"]

_BYTES = {"fp32": 4.0, "bf16": 2.0, "int8": 1.0}

_STATE_BYTES = 8.0
"""fp32 parameters as they were at the last exchange, and the outer momentum.
**Source:** Douillard et al., "DiLoCo", 2023 (arXiv:2311.08105), algorithm 1: Nesterov momentum."""

_TRAFFIC_BYTES = 24.0
"""Parameters are read and written, and so are momentum and what they were (fp32)."""


@dataclass(frozen=True)
class OuterStep:
    """What workers exchange, and the outer update.

    *Equation.* Each of the s ranks of a worker that hold the same P parameters exchanges P/s of them: an
    all-reduce of b·P/s bytes with the ranks at its place in the other workers. The outer update follows
    on each part; without ZeRO the worker then gathers the parameters, with ZeRO the next pass does.

    Parameters
    ----------
    every
        Steps from one exchange to the next.
    dense, experts
        Parameters of one rank.
    difference_bytes, parameter_bytes
        Per parameter, as they are exchanged, and as they are gathered.
    update
        Of one rank's part.

    **Valid when** workers go at one pace: they begin each step together, not only the exchanges, and
    nothing hides the exchange.
    **Source:** Douillard et al., 2023, algorithm 1; int8 differences: Jaghouar et al., "INTELLECT-1", 2024
    (arXiv:2412.01152), section 2.
    **Checked by:** tests/workloads/test_training_local_steps.py.
    """

    layout: Layout
    every: int
    dense: float
    experts: float
    difference_bytes: float
    parameter_bytes: float
    update: KernelTime

    @classmethod
    def of(
        cls,
        spec: TrainingSpec,
        layout: Layout,
        accelerator: Accelerator,
        chunks: Sequence[Sequence[LayerCost]],
        *,
        parameter_bytes: float,
    ) -> OuterStep | None:
        """Return the exchange of a stage; None where replicas sum gradients in every step."""
        if spec.local_steps is None:
            return None
        dense, experts = _parameters(chunks)
        kernel = elementwise(
            "outer step",
            kind="optimizer",
            bytes_moved=_TRAFFIC_BYTES * _own(dense, experts, layout),
            precision="fp32",
        )
        return cls(
            layout=layout,
            every=spec.local_steps.every,
            dense=dense,
            experts=experts,
            difference_bytes=_BYTES[spec.local_steps.precision],
            parameter_bytes=parameter_bytes,
            update=Roofline(accelerator).kernel(kernel),
        )

    def instructions(self) -> Iterator[Instruction]:
        """Yield the exchange, the update and what follows, one after the other."""
        layout, keys = self.layout, list[str]()
        kinds = (
            ("replica_shard", "shard", self.dense, layout.worker_ranks),
            ("expert_replica_shard", "expert_shard", self.experts, layout.sizes.expert_shard),
        )
        for dimension, _, parameters, ranks in kinds:
            if parameters:
                keys.append(f"outer.{dimension}")
                size_bytes = parameters / ranks * self.difference_bytes
                yield Launch(keys[-1], "data", dimension, "all_reduce", size_bytes)
        yield from map(Await, keys)
        yield Compute("optimizer", self.update.seconds, self.update.launch_s, self.update.shares())
        if layout.zero:
            return
        for _, dimension, parameters, ranks in kinds:
            if parameters and ranks > 1:
                key = f"outer.{dimension}"
                yield Launch(key, "data", dimension, "all_gather", parameters * self.parameter_bytes)
                yield Await(key)


def with_outer_states(
    spec: TrainingSpec,
    memory: Sequence[MemoryBreakdown],
    chunks: Sequence[Sequence[LayerCost]],
    layout: Layout,
) -> tuple[MemoryBreakdown, ...]:
    """Return the memory of each stage with what outer steps need to remember."""
    if spec.local_steps is None:
        return tuple(memory)
    found = []
    for stage, whole in enumerate(memory):
        own = _parameters(stage_chunks(chunks, stage=stage, stages=len(memory)))
        states = whole.optimizer_states + _STATE_BYTES * _own(*own, layout)
        found.append(replace(whole, optimizer_states=states))
    return tuple(found)


def _parameters(chunks: Sequence[Sequence[LayerCost]]) -> tuple[float, float]:
    """Return dense parameters and those of experts that one rank of a stage trains."""
    blocks = [block for chunk in chunks for block in chunk]
    return float(sum(block.parameters for block in blocks)), float(
        sum(block.expert_parameters for block in blocks)
    )


def _own(dense: float, experts: float, layout: Layout) -> float:
    """Return the parameters that one rank of a worker looks after."""
    return dense / layout.worker_ranks + experts / layout.sizes.expert_shard
