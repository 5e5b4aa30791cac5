"""A time that an iteration cannot be shorter than, without simulating it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from clustersim.collectives import Communicator
from clustersim.cost.roofline import KernelTime
from clustersim.cost.training.shard import Message
from clustersim.cost.training.training_cost import LayerCost
from clustersim.engine.world import World
from clustersim.spec.training import OverlapSpec
from clustersim.topology import Topology
from clustersim.workloads.training.closed_form import beside_s
from clustersim.workloads.training.compile import StagePlan
from clustersim.workloads.training.crossings import Crossings, NodeMap
from clustersim.workloads.training.job import TrainingJob
from clustersim.workloads.training.program import Launch

__all__ = ["Bounds"]

_ROUNDING = 1.0 - 1e-9
"""Sums in another order differ by less."""


class Bounds:
    """Lower bounds of iterations on one cluster; closed forms of collectives inside nodes are kept.

    Parameters
    ----------
    topology
        The cluster; nobody else is on it.
    """

    def __init__(self, topology: Topology) -> None:
        self.nodes = NodeMap(topology)
        self._world = World(topology, keep_trace=False)
        self._communicators: dict[tuple[str, ...], Communicator] = {}
        self._seconds: dict[tuple[tuple[str, ...], str, float], float] = {}

    def of(self, job: TrainingJob, crossings: Crossings | None = None) -> float:
        """Return seconds that no iteration of a job is shorter than.

        *Equation.* The larger of two, over the stages s, and the longest optimizer update. The passes: the
        first micro-batch has to come through the stages before s (Σ F), s has to do all its passes, and
        what it did last has to go back through the stages before it (Σ B); this is m(F + B) + (p - 1)(F + B)
        for 1F1B on p equal stages, and the closed form of each schedule. The replicas: what a stage says to
        its replicas takes Σ bytes over what its nodes can send, and begins with the first pass that adds to
        finished gradients. F and B are kernels, and the part of collectives inside nodes that cannot hide.

        **Valid when** kernels never run faster than alone, and no collective sends less than is needed.
        Sends between stages, latency, collectives of tensor, context and expert groups over several
        nodes, and deduplicated dispatch are taken to be free.
        **Checked by:** tests/workloads/test_training_bound.py: never above the simulated time.
        """
        crossings = crossings or Crossings(job.layout, self.nodes)
        passes = _Passes(job, self)
        stages = job.stages
        longest_s = max(max(passes.path_s(stage), _replicas_s(stage, passes, crossings)) for stage in stages)
        return _ROUNDING * (longest_s + max(stage.optimizer.seconds for stage in stages))

    def alone_s(self, gpus: tuple[str, ...], collective: str, size_bytes: float) -> float:
        """Return the time of a collective inside a node; 0 for GPUs of several."""
        key = (gpus, collective, size_bytes)
        if key not in self._seconds:
            inside = len({self.nodes.node_of[gpu] for gpu in gpus}) == 1
            self._seconds[key] = self._communicator(gpus).alone_s(collective, size_bytes) if inside else 0.0
        return self._seconds[key]

    def _communicator(self, gpus: tuple[str, ...]) -> Communicator:
        if gpus not in self._communicators:
            lane = f"bound/{len(self._communicators)}"
            self._communicators[gpus] = Communicator(self._world, gpus, owner="bound", lane=lane)
        return self._communicators[gpus]


class _Passes:
    """Least lengths of the passes of a job, by chunk of the model."""

    def __init__(self, job: TrainingJob, bounds: Bounds) -> None:
        self._job = job
        self._bounds = bounds
        self._groups: dict[tuple[str, int], tuple[str, ...]] = {}
        self._blocks: dict[tuple[object, ...], float] = {}
        self._until: dict[int, list[float]] = {}
        stages = job.layout.pipeline
        split = any(each.kind == "weight" for each in job.orders[0])
        self._seconds: dict[str, list[float]] = {"forward": [], "backward": [], "weight": []}
        for place, chunk in enumerate(job.chunks):
            stage = place % stages
            self._seconds["forward"].append(self._chunk_s(chunk, stage, "forward", split))
            self._seconds["backward"].append(self._chunk_s(chunk, stage, "backward", split))
            self._seconds["weight"].append(sum(block.backward_weight.seconds for block in chunk))

    def until_s(self, stage: StagePlan) -> Sequence[float]:
        """Return when each pass of a stage can begin, and the end of the last: nothing waits but the first.

        The first waits until its micro-batch has gone through the chunks before.
        """
        if stage.stage not in self._until:
            place = stage.order[0].chunk * stage.stages + stage.stage
            lengths = {
                (kind, chunk): seconds[chunk * stage.stages + stage.stage]
                for kind, seconds in self._seconds.items()
                for chunk in range(len(stage.chunks))
            }
            passes = (lengths[each.kind, each.chunk] for each in stage.order)
            begin_s = sum(self._seconds["forward"][:place])
            self._until[stage.stage] = list(accumulate(passes, initial=begin_s))
        return self._until[stage.stage]

    def path_s(self, stage: StagePlan) -> float:
        """Return the end of the passes, as far as this stage decides it."""
        until_s = self.until_s(stage)
        last = len(stage.order) - 1
        while stage.order[last].kind != "backward":
            last -= 1
        place = stage.order[last].chunk * stage.stages + stage.stage
        return max(until_s[-1], until_s[last + 1] + sum(self._seconds["backward"][:place]))

    def _chunk_s(self, chunk: Sequence[LayerCost], stage: int, kind: str, split: bool) -> float:
        """Return a pass over a chunk: its kernels and collectives, or the host that launches them."""
        device_s = sum(self._block_s(block, stage, kind, split) for block in chunk)
        host_s = sum(_host_s(block, kind, split) for block in chunk)
        return device_s + host_s if chunk[0].host.blocking else max(device_s, host_s)

    def _block_s(self, block: LayerCost, stage: int, kind: str, split: bool) -> float:
        """Return a block's part of a pass; layers are alike and share their times and messages."""
        times = (block.forward, block.recompute, block.backward_input, block.backward_weight)
        key = (kind, stage, *map(id, (*times, block.messages_forward, block.messages_backward)))
        if key not in self._blocks:
            time, messages = block.forward, block.messages_forward
            if kind == "backward":
                time, messages = block.recompute + block.backward_input, block.messages_backward
                time += KernelTime.ZERO if split else block.backward_weight
            self._blocks[key] = time.seconds + self._exposed_s(messages, stage, self._job.spec.overlap)
        return self._blocks[key]

    def _exposed_s(self, messages: Sequence[Message], stage: int, overlap: OverlapSpec) -> float:
        """Return what messages add to a block at the least.

        Those that run beside kernels may all run at the same time, and beside the same kernels.
        """
        serial_s = beside_most_s = hidden_s = 0.0
        for message in messages:
            if message.dimension == "expert" and self._job.tokens is not None:
                continue
            alone_s = self._bounds.alone_s(
                self._group(message.dimension, stage), message.collective, message.size_bytes
            )
            beside = beside_s(message, overlap)
            if beside:
                hidden_s = max(hidden_s, beside)
                beside_most_s = max(beside_most_s, message.count * alone_s)
            else:
                serial_s += message.count * alone_s
        return serial_s + max(0.0, beside_most_s - hidden_s)

    def _group(self, dimension: str, stage: int) -> tuple[str, ...]:
        key = (dimension, stage)
        if key not in self._groups:
            self._groups[key] = self._job.layout.lane_groups(dimension, stage, 0)[0]
        return self._groups[key]


def _host_s(block: LayerCost, kind: str, split: bool) -> float:
    host = block.host
    if kind == "forward":
        return host.forward
    return host.recompute + host.backward_input + (0.0 if split else host.backward_weight)


def _replicas_s(stage: StagePlan, passes: _Passes, crossings: Crossings) -> float:
    """Return the end of what a stage says to its replicas, stream by stream."""
    layout = stage.replication.layout
    if not stage.overlap.enabled and layout.zero < 2:
        first = len(stage.order)
    elif layout.zero < 2:
        first = _first_last_pass(stage)
    else:
        first = 0
    begun_s = passes.until_s(stage)[first]
    # With ZeRO 3 the lanes of a stage do not wait for each other: one alone is sure to have its links.
    part = 1.0 / layout.lanes_per_stage if layout.zero == 3 else 1.0
    streams: dict[str, float] = {}
    for launch, times in _said(stage):
        least_s = crossings.least_s(launch.dimension, stage.stage, launch.collective, launch.size_bytes)
        streams[launch.stream] = streams.get(launch.stream, 0.0) + times * part * least_s
    return begun_s + max(streams.values(), default=0.0)


def _first_last_pass(stage: StagePlan) -> int:
    """Return the number of the first pass after which the gradients of a chunk are whole."""
    found: dict[int, int] = {}
    for number in range(len(stage.order) - 1, -1, -1):
        each = stage.order[number]
        if each.kind != "forward":
            found.setdefault(each.chunk, number)
            if len(found) == len(stage.chunks):
                break
    return min(found.values())


def _said(stage: StagePlan) -> Iterator[tuple[Launch, int]]:
    """Yield what a stage says to its replicas in an iteration after its first pass, and how often.

    A chunk at once: what nodes have to send does not depend on how it is divided into buckets.
    """
    replication, zero = stage.replication, stage.replication.layout.zero
    passes = sum(each.kind == "backward" for each in stage.order) // len(stage.chunks)
    for layers in stage.chunks:
        for launch in replication.gradients("g", layers):
            yield launch, passes if zero >= 2 else 1
        if zero == 3:
            for launch in replication.parameters("p", layers, stream="gather"):
                yield launch, 2 * passes
