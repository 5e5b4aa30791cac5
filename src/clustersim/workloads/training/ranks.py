"""When the ranks of a lockstep job pass each point of an iteration, with and without jitter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from clustersim.workloads.training.plan import IterationPlan, Phase

__all__ = ["Pace", "lockstep_pace", "paces"]


@dataclass(frozen=True)
class Pace:
    """One iteration's compute, up to the optimizer.

    Parameters
    ----------
    seconds
        Per phase of the plan: from the moment the slowest rank ended the phase before it
        to the moment the slowest rank ended this one.
    shares
        Per phase: `seconds` split over resources.
    forward_s, backward_s, host_s
        Means over the ranks, all micro-steps together; `host_s` is contained in the others.
    waiting_s
        Mean over the ranks of the time between its own last kernel of the backward pass
        and that of the slowest rank.
    """

    seconds: tuple[float, ...]
    shares: tuple[Mapping[str, float], ...]
    forward_s: float
    backward_s: float
    host_s: float
    waiting_s: float


def lockstep_pace(plan: IterationPlan) -> Pace:
    """Return the pace of identical ranks: nobody waits."""
    phases = plan.phases
    forward_s = plan.forward.seconds * plan.micro_steps
    return Pace(
        seconds=tuple(phase.seconds for phase in phases),
        shares=tuple(phase.shares for phase in phases),
        forward_s=forward_s,
        backward_s=sum(phase.seconds for phase in phases) - forward_s,
        host_s=sum(phase.host_s for phase in phases),
        waiting_s=0.0,
    )


def paces(plan: IterationPlan, *, ranks: int, jitter: float, random: np.random.Generator) -> Iterator[Pace]:
    """Yield the pace of one iteration after the other.

    Every rank's forward and backward pass of every micro-step takes a factor f of its
    nominal time, log-normal with mean 1 and coefficient of variation `jitter`; a bucket is
    complete when the slowest rank has it. The optimizer step does not vary.

    *Equation.* ready_b = max over ranks i of Σ_micro-steps f_i·T (passes before)
    + f_i·F + g_i·B_b, with F the forward and B_b the backward time up to bucket b.

    **Valid when** a rank's kernels slow down together within a pass.
    **Checked by:** tests/workloads/test_training_ranks.py.
    """
    steady = lockstep_pace(plan)
    if jitter == 0:
        while True:
            yield steady
    sigma = math.sqrt(math.log1p(jitter * jitter))
    shape = (plan.micro_steps, 2, ranks)
    while True:
        factors = random.lognormal(-sigma * sigma / 2, sigma, size=shape)
        yield _jittered(plan, steady, factors)


def _jittered(plan: IterationPlan, steady: Pace, factors: np.ndarray) -> Pace:
    forward_s = plan.forward.seconds * factors[:, 0].sum(axis=0)
    backward_nominal_s = np.cumsum([phase.seconds for phase in plan.backward])
    backward_s = backward_nominal_s[-1] * factors[:, 1].sum(axis=0)
    before_s = (forward_s - plan.forward.seconds * factors[-1, 0]) + (
        backward_s - backward_nominal_s[-1] * factors[-1, 1]
    )
    after_forward_s = before_s + plan.forward.seconds * factors[-1, 0]
    ready_s = (after_forward_s + backward_nominal_s[:, None] * factors[-1, 1]).max(axis=1)
    head = [after_forward_s.max()] if plan.accumulation is None else [before_s.max(), after_forward_s.max()]
    seconds = tuple(np.diff([0.0, *head, *ready_s]).tolist())
    nominal_s = steady.forward_s + steady.backward_s
    mean_s = float(forward_s.mean() + backward_s.mean())
    return Pace(
        seconds=seconds,
        shares=tuple(map(_scaled, plan.phases, seconds)),
        forward_s=float(forward_s.mean()),
        backward_s=float(backward_s.mean()),
        host_s=steady.host_s * mean_s / nominal_s,
        waiting_s=float(ready_s[-1]) - mean_s,
    )


def _scaled(phase: Phase, seconds: float) -> Mapping[str, float]:
    factor = seconds / phase.seconds if phase.seconds else 0.0
    return {resource: share * factor for resource, share in phase.shares.items()}
