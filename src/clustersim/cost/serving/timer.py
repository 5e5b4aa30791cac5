"""Step times of a replica from the roofline and its engine's host."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from clustersim.cost.roofline import KernelTime
from clustersim.cost.serving.data_groups import GroupLoad, busiest_group
from clustersim.cost.serving.engine_host import EngineHost
from clustersim.cost.serving.serving_cost import ServingCost
from clustersim.cost.serving.step_timer import DecodeRun

__all__ = ["RooflineTimer"]

_NO_STEP_ENDS_IT = 2**62
_PROBE = 1 << 20
"""Context at which the slope of a decode step is taken."""


class _BesideGpus(NamedTuple):
    """Rows that a step computes, and the host's seconds beside GPUs and network."""

    rows: int
    exposed_s: float


class _DecodeLine(NamedTuple):
    """Seconds of a stage's GPUs in a decode step without context, and per token of context."""

    compute_s: float
    memory_s: float
    token_compute_s: float
    token_memory_s: float
    exposed_s: float
    """Seconds of the host beside them: the stage is not shorter."""


class RooflineTimer:
    """Step times from a `ServingCost` and the host of an engine.

    *Equation.* t = serial + per_request·requests + max(g, beside) with g the time of the GPUs, network
    included, and beside what the host does at the same time (`EngineHost`). With the batch unchanged
    a decode step takes slope(b)·b more than the one before, as soon as g is the longer; until then they
    are alike.

    Parameters
    ----------
    cost
        Of the model on the replica's GPUs.
    host_s
        Short for a host that does nothing but this, with the GPUs waiting.
    host
        The engine's host.
    network_s
        Seconds of a step's exchanges by its tokens, while nobody shares the links: what the host launches
        beside them.
    queries
        Tokens that each decode computes; more than one where guesses are checked.

    **Checked by:** tests/cost/test_engine_host.py, tests/workloads/test_inference_cost.py.
    """

    def __init__(
        self,
        cost: ServingCost,
        *,
        host_s: float = 0.0,
        host: EngineHost | None = None,
        network_s: Callable[[int], float] | None = None,
        queries: int = 1,
    ) -> None:
        self._cost = cost
        self._host = host or EngineHost(serial_s=host_s)
        self._network_s = network_s or (lambda _: 0.0)
        self._queries = queries
        sizes = cost.layout.stage_sizes(cost.model.layers)
        self._parts = [size / cost.model.layers for size in sizes]
        self._whole = len(sizes) == 1 and cost.layout.data == 1
        self._adapts = cost.layers.adapters is not None
        self._hosts: dict[tuple[int, bool], _BesideGpus] = {}
        self._runs: dict[int, tuple[float, list[_DecodeLine]]] = {}

    def step(
        self, *, decodes: int, context_sum: int, chunks: Sequence[tuple[int, int]], sampled: int
    ) -> KernelTime:
        """Return the time of one step; see `StepTimer.step`."""
        if not self._whole:
            stages = self.stage_seconds(
                decodes=decodes, context_sum=context_sum, chunks=chunks, sampled=sampled
            )
            return sum(stages, start=KernelTime.ZERO)
        beside = self._beside(self._tokens(decodes, chunks), bool(chunks))
        load = GroupLoad(decodes, context_sum, chunks, sampled, beside.rows)
        gpu = self._cost.stage_seconds(0, load, routed=beside.rows, queries=self._queries)
        return _held(gpu, beside.exposed_s, self._waiting_s(decodes, chunks))

    def stage_seconds(
        self, *, decodes: int, context_sum: int, chunks: Sequence[tuple[int, int]], sampled: int
    ) -> tuple[KernelTime, ...]:
        """Return the time of each pipeline stage, the first with the time that waits for the host."""
        beside = self._beside(self._tokens(decodes, chunks), bool(chunks))
        gpu = self._gpu(decodes, context_sum, chunks, sampled, beside)
        waiting_s = self._waiting_s(decodes, chunks)
        times = []
        for stage, part in zip(gpu, self._parts, strict=True):
            times.append(_held(stage, part * beside.exposed_s, waiting_s))
            waiting_s = 0.0
        return tuple(times)

    def decode_run(self, *, decodes: int, context_sum: int) -> DecodeRun:
        """Return the line on which the times of decode steps lie, as far as it is one."""
        launch_s, lines = self._runs.get(decodes) or self._decode_lines(decodes)
        compute_s = memory_s = more_compute_s = more_memory_s = 0.0
        steps = _NO_STEP_ENDS_IT
        for line in lines:
            line_compute_s = line.compute_s + line.token_compute_s * context_sum
            line_memory_s = line.memory_s + line.token_memory_s * context_sum
            grown_compute_s, grown_memory_s = line.token_compute_s * decodes, line.token_memory_s * decodes
            spare_s = line.exposed_s - (line_compute_s + line_memory_s)
            if spare_s > 0.0:
                grown_s = grown_compute_s + grown_memory_s
                steps = min(steps, math.floor(spare_s / grown_s) + 1) if grown_s else steps
                launch_s += line.exposed_s
                continue
            compute_s += line_compute_s
            memory_s += line_memory_s
            more_compute_s += grown_compute_s
            more_memory_s += grown_memory_s
        growth = KernelTime(more_compute_s, more_memory_s)
        return DecodeRun(KernelTime(compute_s, memory_s, launch_s), growth, steps)

    def _decode_lines(self, decodes: int) -> tuple[float, list[_DecodeLine]]:
        """Return what a decode step waits for the host, and its line at each stage."""
        sampled = decodes * self._queries
        beside = self._beside(sampled, False)
        none, some = (self._gpu(decodes, context, (), sampled, beside) for context in (0, _PROBE))
        lines = [
            _DecodeLine(
                low[0],
                low[1],
                (high[0] - low[0]) * (1.0 / _PROBE),
                (high[1] - low[1]) * (1.0 / _PROBE),
                part * beside.exposed_s,
            )
            for low, high, part in zip(none, some, self._parts, strict=True)
        ]
        known = self._runs[decodes] = self._waiting_s(decodes, ()), lines
        return known

    def _gpu(
        self,
        decodes: int,
        context_sum: int,
        chunks: Sequence[tuple[int, int]],
        sampled: int,
        beside: _BesideGpus,
    ) -> list[tuple[float, float]]:
        """Return seconds of arithmetic and of memory of each stage, for as many tokens as it is padded to."""
        groups, rows = self._cost.layout.data, beside.rows
        if groups == 1:
            load = GroupLoad(decodes, context_sum, chunks, sampled, rows)
        else:
            load = busiest_group(
                decodes=decodes,
                context_sum=context_sum,
                chunks=chunks,
                sampled=sampled,
                groups=groups,
                queries=self._queries,
            )
            mine = self._host.rows(load.tokens, prompts=bool(chunks))
            rows = self._tokens(decodes, chunks) if chunks else mine * groups
            load = load._replace(tokens=mine)
        return [
            self._cost.stage_seconds(stage, load, routed=rows, queries=self._queries)
            for stage in range(len(self._parts))
        ]

    def _tokens(self, decodes: int, chunks: Sequence[tuple[int, int]]) -> int:
        tokens = decodes * self._queries
        for new, _ in chunks:
            tokens += new
        return tokens

    def _waiting_s(self, decodes: int, chunks: Sequence[tuple[int, int]]) -> float:
        """Return the seconds that GPUs wait for the host."""
        waiting_s = self._host.waiting_s(decodes + len(chunks))
        if self._adapts:
            waiting_s += self._cost.adapter_swap_s(sum(past == 0 for _, past in chunks))
        return waiting_s

    def _beside(self, tokens: int, prompts: bool) -> _BesideGpus:
        """Return what goes on beside the GPUs, and the rows of the graph that a step is padded to."""
        known = self._hosts.get((tokens, prompts))
        if known is None:
            beside_s = self._host.beside_s(tokens, prompts=prompts)
            network_s = self._network_s(tokens) if beside_s else 0.0
            rows = self._host.rows(tokens, prompts=prompts)
            known = self._hosts[tokens, prompts] = _BesideGpus(rows, beside_s - network_s)
        return known


def _held(gpu: tuple[float, float], exposed_s: float, waiting_s: float) -> KernelTime:
    """Return the time of GPUs that wait for the host, and are not done before what it does beside them."""
    compute_s, memory_s = gpu
    if exposed_s > compute_s + memory_s:
        return KernelTime(launch_s=waiting_s + exposed_s)
    return KernelTime(compute_s, memory_s, waiting_s)
