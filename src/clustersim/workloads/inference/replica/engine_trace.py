"""What one replica's engine writes into the activity trace."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH, NO_CAUSE, QUEUEING
from clustersim.engine.world import World
from clustersim.workloads.inference.replica.run import OwnSeconds, Run
from clustersim.workloads.inference.requests import Request

__all__ = ["EngineTrace"]


class EngineTrace:
    """Activities on the lane of one replica, each with the one before as its cause.

    Parameters
    ----------
    world
        Clock and trace.
    lane, arrivals_lane
        Of the steps, and of the arrivals that wake an idle engine.
    """

    def __init__(self, world: World, *, lane: str, arrivals_lane: str) -> None:
        self.cause = NO_CAUSE
        """Row of what the next activity follows on."""
        self._env = world.env
        self._trace = world.trace
        self._lane = lane
        self._arrivals_lane = arrivals_lane

    def ran(
        self,
        run: Run,
        own_s: OwnSeconds,
        network_s: Mapping[str, float] | None = None,
        *,
        start_s: float | None = None,
    ) -> int:
        """Record a step, a part of it or a run of steps that ends now; return the row."""
        if not self._trace.keep:
            return NO_CAUSE
        self.cause = self._trace.record(
            "compute",
            self._lane,
            _label(run),
            run.start_s if start_s is None else start_s,
            self._env.now,
            cause=self.cause,
            shares=_shares(own_s, network_s),
        )
        return self.cause

    def arrived(self, request: Request) -> None:
        """Record the arrival of a request to an engine that has nothing to do."""
        if not self._trace.keep:
            return
        now_s = self._env.now
        self.cause = self._trace.record(
            "queue",
            self._arrivals_lane,
            f"request {request.index} arrives",
            now_s,
            now_s,
            shares={QUEUEING: 0.0},
        )


def _label(run: Run) -> str:
    plan, steps = run.plan, run.steps
    if not plan.chunks:
        return f"decode {plan.decodes}, {steps} steps" if steps > 1 else f"decode {plan.decodes}"
    prompts = sum([chunk[1] for chunk in plan.chunks])
    return f"prefill {prompts} tokens, decode {plan.decodes}" if plan.decodes else f"prefill {prompts} tokens"


def _shares(own_s: OwnSeconds, network_s: Mapping[str, float] | None) -> dict[str, float]:
    shares = {COMPUTE: own_s[0], MEMORY_BANDWIDTH: own_s[1], HOST: own_s[2]}
    return {**shares, **network_s} if network_s else shares
