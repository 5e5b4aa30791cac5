"""What a scenario asks of a service: how many requests, how long, sent by whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clustersim.engine.world import World
from clustersim.errors import InputError, PathPart
from clustersim.spec.inference import InferenceSpec
from clustersim.spec.tenants import TenantSpec
from clustersim.workloads.inference.demand.load import ServiceLoad, TenantLoad
from clustersim.workloads.inference.demand.tenant_demand import Limits, TenantDemand, plan_tenant

__all__ = ["Demand", "plan_demand"]


@dataclass(frozen=True)
class Demand:
    """The load of a service before any randomness is drawn.

    Parameters
    ----------
    longest
        Most prompt tokens of a request, and what the longest request has beyond them; without
        a trace any prompt may meet any output, so these are the most output tokens.
    load
        Makes the sending process for a world and a workload's name.
    requests
        How many will be sent, where that is known beforehand.
    notes
        What a reader must know about it.
    """

    longest: tuple[int, int]
    load: Callable[[World, str], ServiceLoad]
    requests: int | None = None
    notes: tuple[str, ...] = ()


def plan_demand(spec: InferenceSpec, *, base: Path | None) -> Demand:
    """Read what can be read before the run: trace files, clients and length tables.

    Raises
    ------
    InputError
        For a file or a table that cannot be read; paths are relative to the workload.
    """
    limits = Limits(spec.requests, spec.duration, spec.scheduler.block_tokens)
    if spec.arrivals is not None:
        tenants = [plan_tenant(spec.arrivals, spec.lengths, limits, base=base)]
        names: list[tuple[str, ...]] = [()]
    else:
        tenants = [_plan(place, tenant, limits, base) for place, tenant in enumerate(spec.tenants)]
        names = [("tenant", tenant.name) for tenant in spec.tenants]
    priorities = [tenant.priority for tenant in spec.tenants] or [0]

    def load(world: World, name: str) -> ServiceLoad:
        loads = [
            TenantLoad(tenant.load(lambda *source, who=who: world.random(name, *who, *source)), priority)
            for tenant, who, priority in zip(tenants, names, priorities, strict=True)
        ]
        return ServiceLoad(loads, requests=spec.requests)

    return Demand(_longest(tenants), load, _requests(tenants, spec.requests))


def _plan(place: int, tenant: TenantSpec, limits: Limits, base: Path | None) -> TenantDemand:
    try:
        return plan_tenant(tenant.arrivals, tenant.lengths, limits, base=base)
    except InputError as error:
        prefix: tuple[PathPart, ...] = ("tenants", place)
        moved = [replace(problem, path=(*prefix, *problem.path)) for problem in error.problems]
        raise type(error)(moved) from None


def _longest(tenants: Sequence[TenantDemand]) -> tuple[int, int]:
    prompt = max(tenant.longest[0] for tenant in tenants)
    return prompt, max(sum(tenant.longest) for tenant in tenants) - prompt


def _requests(tenants: Sequence[TenantDemand], most: int | None) -> int | None:
    """Requests that will be sent: those of all traces, or the most that are."""
    known = [tenant.requests for tenant in tenants if tenant.requests is not None]
    if len(known) < len(tenants):
        return most
    return sum(known) if most is None else min(most, sum(known))
