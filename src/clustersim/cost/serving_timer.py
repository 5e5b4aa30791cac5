"""Step times of a replica from the roofline and its engine's host."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from clustersim.cost.data_groups import GroupLoad, busiest_group
from clustersim.cost.engine_host import EngineHost
from clustersim.cost.roofline import KernelTime
from clustersim.cost.serving import ServingCost
from clustersim.cost.step_timer import DecodeRun

__all__ = ["RooflineTimer"]

_NO_STEP_ENDS_IT = 2**62


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
        self._runs: dict[int, tuple[list[KernelTime], list[KernelTime]]] = {}

    def step(
        self, *, decodes: int, context_sum: int, chunks: Sequence[tuple[int, int]], sampled: int
    ) -> KernelTime:
        """Return the time of one step; see `StepTimer.step`."""
        stages = self.stage_seconds(decodes=decodes, context_sum=context_sum, chunks=chunks, sampled=sampled)
        return stages[0] if len(stages) == 1 else sum(stages, start=KernelTime.ZERO)

    def stage_seconds(
        self, *, decodes: int, context_sum: int, chunks: Sequence[tuple[int, int]], sampled: int
    ) -> tuple[KernelTime, ...]:
        """Return the time of each pipeline stage, the first with the time that waits for the host."""
        gpu = self._gpu(decodes, context_sum, chunks, sampled)
        waiting_s, beside_s, network_s = self._host_times(decodes, chunks)
        times = []
        for time, part in zip(gpu, self._parts, strict=True):
            spare_s = part * (beside_s - network_s) - time.compute_s - time.memory_s
            launch_s = waiting_s + spare_s if spare_s > 0.0 else waiting_s
            times.append(KernelTime(time.compute_s, time.memory_s, launch_s))
            waiting_s = 0.0
        return tuple(times)

    def decode_run(self, *, decodes: int, context_sum: int) -> DecodeRun:
        """Return the line on which the times of decode steps lie, as far as it is one."""
        bases, slopes = self._decode_lines(decodes)
        waiting_s, beside_s, network_s = self._host_times(decodes, ())
        first, growth = KernelTime(launch_s=waiting_s), KernelTime.ZERO
        steps = _NO_STEP_ENDS_IT
        for base, slope, part in zip(bases, slopes, self._parts, strict=True):
            time, more = base + slope * context_sum, slope * decodes
            spare_s = part * (beside_s - network_s) - time.seconds
            if spare_s > 0.0:
                time += KernelTime(launch_s=spare_s)
                steps = min(steps, math.floor(spare_s / more.seconds) + 1) if more.seconds else steps
                more += KernelTime(launch_s=-more.seconds)
            first, growth = first + time, growth + more
        return DecodeRun(first, growth, steps)

    def _decode_lines(self, decodes: int) -> tuple[list[KernelTime], list[KernelTime]]:
        """Return, by stage, GPU time of a decode step without context, and per token of context."""
        known = self._runs.get(decodes)
        if known is None:
            sampled = decodes * self._queries
            none, some = (self._gpu(decodes, context, (), sampled) for context in (0, 1 << 20))
            slopes = [(high + low * -1.0) * (1.0 / (1 << 20)) for low, high in zip(none, some, strict=True)]
            known = self._runs[decodes] = none, slopes
        return known

    def _gpu(
        self, decodes: int, context_sum: int, chunks: Sequence[tuple[int, int]], sampled: int
    ) -> list[KernelTime]:
        """Return the time of each stage's GPUs, for as many tokens as the step is padded to."""
        groups = self._cost.layout.data
        tokens = self._tokens(decodes, chunks)
        rows = self._host.rows(tokens, prompts=bool(chunks))
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
            rows = tokens if chunks else mine * groups
            load = load._replace(tokens=mine)
        return [
            self._cost.stage_time(stage, load, routed=rows, queries=self._queries)
            for stage in range(len(self._parts))
        ]

    def _tokens(self, decodes: int, chunks: Sequence[tuple[int, int]]) -> int:
        return decodes * self._queries + sum([new for new, _ in chunks])

    def _host_times(self, decodes: int, chunks: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
        """Return seconds that GPUs wait for the host, those of the host beside them, and the network's."""
        tokens, prompts = self._tokens(decodes, chunks), bool(chunks)
        waiting_s = self._host.waiting_s(decodes + len(chunks))
        if self._cost.layers.adapters is not None:
            waiting_s += self._cost.adapter_swap_s(sum(past == 0 for _, past in chunks))
        beside_s = self._host.beside_s(tokens, prompts=prompts)
        return waiting_s, beside_s, self._network_s(tokens) if beside_s else 0.0
