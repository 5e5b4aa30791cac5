"""All pools of a ranking service: its own model, stages before it, and the variant of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clustersim.engine.fabric import TrafficClass
from clustersim.engine.world import World
from clustersim.errors import InputError, PathPart
from clustersim.spec.ranking.inference import RankingInferenceSpec
from clustersim.topology import Topology
from clustersim.workloads.ranking.inference.course import Course, OnePool
from clustersim.workloads.ranking.inference.experiment import Division
from clustersim.workloads.ranking.inference.plan import PoolPlan, plan_pool
from clustersim.workloads.ranking.inference.stages import LAST, Cascade, PlannedStage
from clustersim.workloads.running_cost import RunningCost

__all__ = ["VARIANT", "ServicePools", "plan_pools"]

VARIANT = "variant"
"""Name of the pool of an experiment's other model."""
_BLOCK = 4096


@dataclass(frozen=True)
class ServicePools:
    """The pools of a service.

    Parameters
    ----------
    spec
        Of the service.
    own
        Of its own model.
    stages
        Before it, in order.
    variant
        Of the other model of an experiment; None without one.
    """

    spec: RankingInferenceSpec
    own: PoolPlan
    stages: tuple[PoolPlan, ...] = ()
    variant: PoolPlan | None = None

    def __iter__(self) -> Iterator[PoolPlan]:
        yield self.own
        yield from self.stages
        if self.variant is not None:
            yield self.variant

    @property
    def first(self) -> PoolPlan:
        """Where queries come in."""
        return self.stages[0] if self.stages else self.own

    @property
    def gpus(self) -> int:
        """Of all pools."""
        return sum(len(replica.gpus) for plan in self for replica in plan.replicas)

    @property
    def memory_bytes(self) -> float:
        """Of the fullest GPU."""
        return max(replica.memory.total for plan in self for replica in plan.replicas)

    @property
    def compared_gpus(self) -> tuple[int, int]:
        """Of the service's own model, and of the variant."""
        plans = (self.own, self.variant)
        own, variant = (sum(len(each.gpus) for each in plan.replicas) if plan else 0 for plan in plans)
        return own, variant

    def running(self) -> RunningCost | None:
        """Return price and power of the GPUs; None where pools are on GPUs of several kinds.

        Raises
        ------
        InputError
            For a provider that the catalogue does not have.
        """
        cost = RunningCost.of(self.spec.economics, self.own.replicas[0].accelerator)
        kinds = {replica.accelerator.name for plan in self for replica in plan.replicas}
        return cost if len(kinds) == 1 else None

    def open(self, world: World, *, traffic: TrafficClass, done: Callable[[], None]) -> Course:
        """Make the replicas, and the way of queries through them."""
        name = self.spec.name
        if not self.stages and self.variant is None:
            return OnePool(world, self.own, name=name, traffic=traffic, done=done)
        earlier = [
            PlannedStage((spec.name,), (plan,), spec=spec)
            for spec, plan in zip(self.spec.stages, self.stages, strict=True)
        ]
        return Cascade(world, [*earlier, self._last()], name=name, traffic=traffic, done=done)

    def _last(self) -> PlannedStage:
        experiment = self.spec.experiment
        if self.variant is None or experiment is None:
            return PlannedStage((LAST,), (self.own,))
        choose = _Divided(Division(experiment))
        return PlannedStage((LAST, VARIANT), (self.own, self.variant), choose)


class _Divided:
    """Says which pool a query goes to; some thousand are found out at once."""

    def __init__(self, division: Division) -> None:
        self._division = division
        self._known: list[bool] = []

    def __call__(self, query: int) -> int:
        while query >= len(self._known):
            first = len(self._known)
            self._known += self._division.is_variant(np.arange(first, first + _BLOCK)).tolist()
        return int(self._known[query])


def plan_pools(
    spec: RankingInferenceSpec, *, topology: Topology, gpus: tuple[str, ...], base: Path | None
) -> ServicePools:
    """Split the GPUs over the pools, in the order of `RankingInferenceSpec.pools`, and check each.

    Raises
    ------
    InputError, CannotRunError
        As `plan_pool`.
    """
    plans, taken = [], 0
    for place, pool in zip(_places(spec), spec.pools, strict=True):
        with _under(*place):
            plans.append(plan_pool(pool, topology=topology, gpus=gpus[taken : taken + pool.gpus], base=base))
        taken += pool.gpus
    stages = tuple(plans[1 : 1 + len(spec.stages)])
    return ServicePools(spec, plans[0], stages, plans[-1] if spec.experiment is not None else None)


def _places(spec: RankingInferenceSpec) -> Iterator[tuple[PathPart, ...]]:
    """Where each of the pools is among the fields of the service."""
    yield ()
    yield from (("stages", index) for index in range(len(spec.stages)))
    if spec.experiment is not None:
        yield ("experiment", "variant")


@contextmanager
def _under(*place: PathPart) -> Iterator[None]:
    """Say of what is refused that it lies below a field."""
    try:
        yield
    except InputError as error:
        raise type(error)([replace(each, path=(*place, *each.path)) for each in error.problems]) from None
