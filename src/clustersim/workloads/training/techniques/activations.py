"""Activations of some layers go to the host in the forward pass and come back in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from clustersim.cost.training.training_cost import LayerCost
from clustersim.workloads.training.program import Await, Instruction, Launch
from clustersim.workloads.training.schedules import Pass
from clustersim.workloads.training.stages import layer_units

__all__ = ["ActivationTraffic"]


class ActivationTraffic:
    """What one chunk of layers says to the host in a pass.

    *Equation.* In the forward pass, what layer i keeps goes down when it has been computed; layer i + 2
    waits for that, as two buffers take turns. In the backward pass, layer i + 1 begins and what layer i
    kept begins to come up; layer i waits for it. With f the time of a layer and d that of its transfer,
    n layers that all go down take f·n where d ≤ f, else about d·n.

    Parameters
    ----------
    chunk
        Its blocks.
    layers
        How many of its layers, the first ones.

    **Valid when** copies take nothing from kernels (copy engines), and host memory is pinned.
    **Source:** NVIDIA Transformer Engine, `get_cpu_offload_context` (layers in groups, two at a time);
    Megatron-LM, `--cpu-offloading-num-layers`.
    **Checked by:** tests/workloads/test_training_offload.py.
    """

    def __init__(self, chunk: Sequence[LayerCost], *, layers: int) -> None:
        units = layer_units(chunk)
        own = [place for place, unit in enumerate(units) if unit[0].layer is not None]
        self.layers = len(own)
        self._bytes = {place: sum(block.activation_bytes for block in units[place]) for place in own[:layers]}
        self._first = {unit[0].name: place for place, unit in enumerate(units)}
        self._last = {unit[-1].name: place for place, unit in enumerate(units)}
        self._units = len(units)
        self._moved = {block.name for place in self._bytes for block in units[place]}

    @property
    def moved_bytes(self) -> float:
        """Bytes of one micro-batch that are on the host between its passes."""
        return sum(self._bytes.values())

    @property
    def buffer_bytes(self) -> float:
        """Bytes of the layers that are on their way."""
        return sum(sorted(self._bytes.values())[-2:])

    def kept(self, chunk: Sequence[LayerCost]) -> tuple[LayerCost, ...]:
        """Return the chunk with what stays on the GPU."""
        return tuple(
            replace(block, activation_bytes=0.0) if block.name in self._moved else block for block in chunk
        )

    def before(self, each: Pass, block: LayerCost) -> Iterator[Instruction]:
        """Yield what comes before a block is computed."""
        if each.kind == "forward" and block.name in self._first:
            yield from self._landed(self._first[block.name] - 2)
        if each.kind == "backward" and block.name in self._last:
            place = self._last[block.name]
            if place - 1 in self._bytes:
                yield Launch(f"up{place - 1}", "host_up", "host_up", "send", self._bytes[place - 1])
            if place in self._bytes:
                yield Await(f"up{place}")

    def after(self, each: Pass, block: LayerCost) -> Iterator[Instruction]:
        """Yield what comes after a block is computed."""
        if each.kind != "forward" or block.name not in self._last:
            return
        place = self._last[block.name]
        if place in self._bytes:
            yield Launch(f"down{place}", "host_down", "host_down", "send", self._bytes[place])
        if place == self._units - 1:
            yield from self._landed(place - 1)

    def _landed(self, place: int) -> Iterator[Await]:
        if place in self._bytes:
            yield Await(f"down{place}")
