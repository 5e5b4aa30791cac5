"""Optimizer on the host (ZeRO-Offload): gradients go down, the host updates, weights come up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clustersim.cost.training.training_cost import LayerCost
from clustersim.engine.trace import HOST
from clustersim.spec.techniques import OffloadSpec
from clustersim.topology import Topology
from clustersim.workloads.training.layout import Layout
from clustersim.workloads.training.program import Await, Compute, Instruction, Launch
from clustersim.workloads.training.techniques.activations import ActivationTraffic

__all__ = ["HOST_UPDATE_RATE", "HostTraffic", "HostUpdate", "host_share"]

HOST_UPDATE_RATE = 10e9 / 2.57
"""Parameters per second of DeepSpeed's CPU Adam on the two Xeon Platinum 8168 of a DGX-2: 10 billion take
2.57 s.
**Source:** Ren et al., "ZeRO-Offload", USENIX ATC 2021, table 4."""

TILE_PARAMETERS = 128 * 2**20
"""Parameters that the host updates before they are sent up, beside the update of those after them.
**Source:** Ren et al., section 5.1 (tiles that overlap with the copy); their size is assumed."""


@dataclass(frozen=True)
class HostUpdate:
    """The update of one GPU's parameters by its part of the host.

    *Equation.* n tiles: the host computes for s = P/(R·n) each, and each goes up in c beside those after
    it: n·s + c where c ≤ s, else s + n·c.

    Parameters
    ----------
    parameters
        That this GPU updates.
    rate
        Parameters per second.
    weight_bytes
        Per parameter, as it comes up.
    """

    parameters: float
    rate: float
    weight_bytes: float

    def instructions(self) -> Iterator[Instruction]:
        """Yield the update, tile by tile."""
        tiles = max(1, math.ceil(self.parameters / TILE_PARAMETERS))
        seconds = self.parameters / self.rate / tiles
        size_bytes = self.parameters * self.weight_bytes / tiles
        for tile in range(tiles):
            yield Compute("optimizer", seconds, seconds, {HOST: seconds})
            yield Launch(f"updated{tile}", "host_up", "host_up", "send", size_bytes)
        yield Await(f"updated{tiles - 1}")


@dataclass(frozen=True)
class HostTraffic:
    """What the GPUs of a stage say to their hosts.

    Parameters
    ----------
    activations
        Of each chunk.
    gradient_bytes
        Per parameter, as they go down; 0 where the GPU updates.
    every_pass
        Whether gradients go down after every micro-batch, and are added up by the host.
    update
        By the host; None where the GPU updates.
    """

    layout: Layout
    activations: Sequence[ActivationTraffic]
    gradient_bytes: float = 0.0
    every_pass: bool = False
    update: HostUpdate | None = None

    def gradients(self, key: str, layers: Sequence[LayerCost], *, after: str) -> Iterator[Launch]:
        """Yield what takes gradients down that have been added up by the collective `after`."""
        dense = sum(layer.parameters for layer in layers) / self.layout.zero_ranks
        experts = sum(layer.expert_parameters for layer in layers) / self.layout.expert_zero_ranks
        size_bytes = (dense + experts) * self.gradient_bytes
        if size_bytes:
            yield Launch(f"{key}.down", "host_down", "host_down", "send", size_bytes, after=after)


def host_share(spec: OffloadSpec, gpus: Sequence[str], topology: Topology) -> float:
    """Return the parameters per second that a node's processors update for each of its GPUs of a job."""
    most = max(Counter(map(topology.node_of, gpus)).values())
    rate = HOST_UPDATE_RATE if spec.update_rate is None else spec.update_rate
    return topology.speeds.host * rate / most
