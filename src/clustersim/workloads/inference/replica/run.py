"""A step, or a run of alike decode steps, that is under way on a replica."""

from __future__ import annotations

import simpy

from clustersim.cost.serving.step_timer import DecodeRun
from clustersim.workloads.inference.replica.network import NetworkTime
from clustersim.workloads.inference.replica.skip_ahead import run_seconds, steps_until
from clustersim.workloads.inference.scheduling.plan import StepPlan

__all__ = ["OwnSeconds", "Run"]

OwnSeconds = tuple[float, float, float]
"""Seconds of arithmetic, of memory bandwidth and of the host."""


class Run:
    """What the engine must know of it until it ends; `steps` may be cut while it runs."""

    __slots__ = (
        "first_s",
        "growth_s",
        "kv_start_blocks",
        "network",
        "plan",
        "slot",
        "start_s",
        "steps",
        "time",
        "wake",
    )

    def __init__(
        self, plan: StepPlan, time: DecodeRun, *, start_s: float, kv_start_blocks: int, slot: int = 0
    ) -> None:
        self.slot = slot
        self.plan = plan
        self.time = time
        self.start_s = start_s
        self.kv_start_blocks = kv_start_blocks
        self.steps = 1
        self.first_s = time.first.seconds
        self.growth_s = 0.0
        self.network: NetworkTime | None = None
        self.wake: simpy.Event | None = None

    def end_s(self) -> float:
        """Return the end of the last step as it stands now."""
        if self.steps == 1:
            return self.start_s + self.first_s
        return self.start_s + run_seconds(self.steps, first_s=self.first_s, growth_s=self.growth_s)

    def cut(self, now_s: float) -> bool:
        """End the run at the first step boundary from now on; return whether that is earlier."""
        if self.steps == 1:
            return False
        steps = steps_until(now_s - self.start_s, first_s=self.first_s, growth_s=self.growth_s)
        if steps >= self.steps:
            return False
        self.steps = steps
        return True

    def own_seconds(self) -> OwnSeconds:
        """Split the seconds of GPU and host over arithmetic, memory bandwidth and host.

        Exchanges that are done before the host is count as the host's.
        """
        first, steps = self.time.first, self.steps
        if first.host_bound:
            network_s = 0.0 if self.network is None else self.network.seconds
            return 0.0, 0.0, steps * (first.launch_s + network_s)
        if steps == 1:
            return first.compute_s, first.memory_s, first.launch_s
        growth, pairs = self.time.growth, 0.5 * steps * (steps - 1)
        return (
            steps * first.compute_s + pairs * growth.compute_s,
            steps * first.memory_s + pairs * growth.memory_s,
            steps * first.launch_s + pairs * growth.launch_s,
        )

    def network_seconds(self) -> dict[str, float] | None:
        """Seconds on the network by resource, where they were computed in closed form."""
        if self.network is None or self.time.first.host_bound:
            return None
        return {resource: self.steps * value for resource, value in self.network.shares.items()}
