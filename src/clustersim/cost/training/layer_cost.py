"""Blocks of a network in seconds, bytes and messages on one GPU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from typing import NamedTuple

from clustersim.cost.launches import NO_HOST, HostTimes, LaunchTimes
from clustersim.cost.roofline import KernelTime, Roofline
from clustersim.cost.training.block import Block, Exchange, Operators, Part
from clustersim.cost.training.flops import Recompute
from clustersim.cost.training.shard import Message

__all__ = ["LayerCost", "layer_costs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """A block of the network whose gradients become ready together, on one GPU.

    Parameters
    ----------
    name, layer
        Of the block, and the number of the layer that it is part of; None outside of layers.
    parameters, expert_parameters, frozen_parameters
        On this GPU: trained and reduced among all data-parallel replicas; trained, of routed
        experts; not trained.
    shared_parameters
        Weights that this block shares with the embedding, and has a copy of where that is on another
        GPU; not in `parameters`.
    parameters_of_model
        Of the undivided block.
    forward
        The forward pass over one micro-batch.
    recompute, backward_input, backward_weight
        What the backward pass repeats of the forward pass, then everything but the gradients
        of weights, then these.
    messages_forward, messages_backward
        In the order of the pass; those of the recomputation come first.
    messages_recompute
        Those of the recomputation alone.
    activation_bytes
        What the forward pass keeps for the backward pass.
    recomputed_bytes
        What recomputation brings back, from then to the end of the block's backward pass.
    hbm_bytes, recompute_hbm_bytes
        Least traffic of all kernels of a micro-batch through device memory, and of those of the
        recomputation among them.
    host
        What the host takes to launch the kernels of each pass.
    output_bytes
        What the next pipeline stage gets from this GPU. With tensor parallelism each GPU sends its part
        of the hidden state (Megatron-LM: sequence parallelism, or scatter-gather of SC21 section 4.1).
    """

    name: str
    parameters: int
    forward: KernelTime
    backward_input: KernelTime
    layer: int | None = None
    expert_parameters: int = 0
    frozen_parameters: int = 0
    shared_parameters: int = 0
    parameters_of_model: int = 0
    recompute: KernelTime = KernelTime.ZERO
    backward_weight: KernelTime = KernelTime.ZERO
    messages_forward: tuple[Message, ...] = ()
    messages_recompute: tuple[Message, ...] = ()
    messages_backward: tuple[Message, ...] = ()
    activation_bytes: float = 0.0
    recomputed_bytes: float = 0.0
    output_bytes: float = 0.0
    host: HostTimes = NO_HOST
    hbm_bytes: float = 0.0
    recompute_hbm_bytes: float = 0.0

    @property
    def backward(self) -> KernelTime:
        """The backward pass, with recomputation."""
        return self.recompute + self.backward_input + self.backward_weight

    @property
    def messages_before_weights(self) -> tuple[Message, ...]:
        """Those of a backward pass whose gradients of weights are put off, and hide nothing any more."""
        return tuple(
            replace(message, hideable_s=0.0, asynchronous_s=0.0) if message.beside_weights else message
            for message in self.messages_backward
        )

    def stored(self) -> LayerCost:
        """Return the block without recomputation."""
        return replace(
            self,
            recompute=KernelTime.ZERO,
            hbm_bytes=self.hbm_bytes - self.recompute_hbm_bytes,
            recompute_hbm_bytes=0.0,
            host=self.host._replace(recompute=0.0),
            messages_recompute=(),
            messages_backward=self.messages_backward[len(self.messages_recompute) :],
            activation_bytes=self.activation_bytes + self.recomputed_bytes,
            recomputed_bytes=0.0,
        )


def layer_costs(
    blocks: Sequence[Block],
    roofline: Roofline,
    *,
    recompute: Recompute,
    early_stop: bool,
    launches: LaunchTimes,
) -> tuple[LayerCost, ...]:
    """Turn blocks into times on a device, and times of the host that launches its kernels."""
    timer = _Timer(roofline, launches)
    # Layers are alike, and share their part.
    works = {id(block.part): _Work.of(block, recompute, early_stop) for block in reversed(blocks)}
    costs = {key: _layer_cost(work, timer.times(work), timer) for key, work in works.items()}
    return tuple(replace(costs[id(block.part)], name=block.name, layer=block.layer) for block in blocks)


class _Work(NamedTuple):
    """A block with what its backward pass repeats of its forward pass."""

    block: Block
    repeated: Part
    kept_bytes: float

    @classmethod
    def of(cls, block: Block, recompute: Recompute, early_stop: bool) -> _Work:
        again = Part(forward=block.part.again)
        if block.layer is None or recompute == "none":
            return cls(block, again, block.activation_bytes)
        if recompute == "selective":
            return cls(block, block.pairs + again, block.activation_bytes - block.pairs.kept_bytes)
        if not early_stop or not block.tail:
            return cls(block, block.part, block.checkpoint_bytes)
        # The collective that ends the block adds up what its last product would give.
        part = Part(forward=block.part.forward[: -block.tail], exchanges=block.part.exchanges[:-1])
        return cls(block, part, block.checkpoint_bytes)

    @property
    def passes(self) -> tuple[Operators, Operators, Operators, Operators]:
        """Operators of the forward pass, and of recomputation, backward pass and gradients of weights."""
        part = self.block.part
        return part.forward, self.repeated.forward, part.backward, part.weight


class _Timer:
    """Executions on one device, each shape timed once."""

    def __init__(self, roofline: Roofline, launches: LaunchTimes) -> None:
        self._kernel = cache(roofline.kernel)
        self._launches = launches
        self._streams: dict[int, tuple[Operators, KernelTime]] = {}

    def stream(self, operators: Operators) -> KernelTime:
        """Return the time of operators that the device finds ready."""
        key = id(operators)
        if key not in self._streams:
            times = (self._kernel(operator) * operator.count for operator in operators)
            self._streams[key] = operators, sum(times, KernelTime.ZERO)
        return self._streams[key][1]

    def times(self, work: _Work) -> tuple[KernelTime, ...]:
        """Return the time of each pass on the device."""
        return tuple(map(self.stream, work.passes))

    def host(self, work: _Work) -> HostTimes:
        """Return what the host takes for each pass."""
        launches = self._launches
        forward, recompute, backward, weight = map(launches.seconds, work.passes)
        return HostTimes(
            forward,
            recompute,
            backward,
            weight,
            restart_s=0.0 if launches.blocking else work.block.part.waits * launches.kernel_s,
            blocking=launches.blocking,
        )

    def messages(self, exchanges: Iterable[Exchange]) -> tuple[Message, ...]:
        """Return exchanges with the seconds that hide them; equal ones in a row as one message."""
        return tuple(
            Message(
                dimension=exchange.dimension,
                collective=exchange.collective,
                size_bytes=exchange.size_bytes,
                count=len(tuple(alike)),
                hideable_s=self.stream(exchange.beside).seconds,
                asynchronous_s=self.stream(exchange.asynchronous).seconds,
                beside_weights=exchange.beside_weights,
            )
            for exchange, alike in groupby(exchanges)
        )


def _layer_cost(work: _Work, times: tuple[KernelTime, ...], timer: _Timer) -> LayerCost:
    block, part = work.block, work.block.part
    forward, recompute, backward, weight = times
    messages_recompute = timer.messages(work.repeated.exchanges)
    return LayerCost(
        name=block.name,
        layer=block.layer,
        parameters=part.parameters,
        expert_parameters=block.expert_parameters,
        frozen_parameters=part.frozen_parameters,
        shared_parameters=block.shared_parameters,
        parameters_of_model=block.parameters_of_model,
        forward=forward,
        recompute=recompute,
        backward_input=backward,
        backward_weight=weight,
        messages_forward=timer.messages(part.exchanges),
        messages_recompute=messages_recompute,
        messages_backward=messages_recompute + timer.messages(part.exchanges_backward),
        activation_bytes=work.kept_bytes,
        recomputed_bytes=block.activation_bytes + part.again_bytes - work.kept_bytes,
        output_bytes=block.output_bytes,
        host=timer.host(work),
        hbm_bytes=sum(map(_moved_bytes, work.passes)),
        recompute_hbm_bytes=_moved_bytes(work.repeated.forward),
    )


def _moved_bytes(operators: Operators) -> float:
    return sum(operator.count * operator.bytes_moved for operator in operators)
