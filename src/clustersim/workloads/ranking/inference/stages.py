"""A cascade: queries go through one pool after the other, with fewer candidates each time."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.engine.fabric import TrafficClass
from clustersim.engine.world import World
from clustersim.spec.ranking.stages import RankingStageSpec
from clustersim.workloads.ranking.inference.course import visits_of
from clustersim.workloads.ranking.inference.demand.loads import QueryHost
from clustersim.workloads.ranking.inference.measures.served import Visits
from clustersim.workloads.ranking.inference.opening import open_pool
from clustersim.workloads.ranking.inference.plan import PoolPlan
from clustersim.workloads.ranking.inference.queries import Queries

__all__ = ["LAST", "Cascade", "PlannedStage"]

LAST = "rank"
"""Name of the last pool, that of the service's own model, among several."""
Choose = Callable[[int], int]


@dataclass(frozen=True)
class PlannedStage:
    """Pools of which a query goes to one, and what is left of it for the next stage.

    Parameters
    ----------
    names, plans
        Of the pools.
    choose
        Which of them a query goes to, by its number.
    spec
        What is passed on, and when; None for the last stage.
    """

    names: tuple[str, ...]
    plans: tuple[PoolPlan, ...]
    choose: Choose = lambda query: 0
    spec: RankingStageSpec | None = None


class _Stop:
    """One pool in a world, and whose visits its rows are."""

    def __init__(self, world: World, plan: PoolPlan, *, name: str, stage: int, cascade: Cascade) -> None:
        self.name = name.rpartition("/")[2]
        self.plan = plan
        self.stage = stage
        self.origin = array("q")
        """Query of the service that each row belongs to."""
        self.host = QueryHost.of(plan.engine, speed=world.topology.speeds.host)
        self._cascade = cascade
        self.pool = open_pool(world, plan, name=name, traffic=cascade.traffic, answered=self._answered)

    def _answered(self, row: int) -> None:
        self._cascade.passed(self, row)


class Cascade:
    """Stages in order; each passes the best candidates of a query on to the next.

    *Equation.* A query with c candidates has min(c, keep) of them in the next stage, whose queue it reaches
    `hand_over` and that engine's time for a query after its last score here. Its latency is the sum over
    the stages: each has its own replicas, queue and batches.

    Parameters
    ----------
    stages
        In order, the last one of the service's own model.
    name, traffic
        Of the service.
    done
        Called after each query.

    **Valid when** which candidates survive does not matter for the time of the stages behind.
    **Checked by:** tests/workloads/ranking/test_ranking_stages.py.
    """

    def __init__(
        self,
        world: World,
        stages: Sequence[PlannedStage],
        *,
        name: str,
        traffic: TrafficClass,
        done: Callable[[], None],
    ) -> None:
        self.queries = Queries()
        self.traffic = traffic
        self._world = world
        self._stages = stages
        self._done = done
        self._waiting: dict[int, Callable[[], object]] = {}
        self.stops = [
            [
                _Stop(world, plan, name=f"{name}/{pool}", stage=place, cascade=self)
                for pool, plan in zip(stage.names, stage.plans, strict=True)
            ]
            for place, stage in enumerate(stages)
        ]
        self.pool = self.stops[-1][0].pool

    def send(self, arrival_s: float, samples: int, answered: Callable[[], object] | None) -> None:
        """Give a query to the first stage."""
        query = self.queries.add(arrival_s, samples)
        if answered is not None:
            self._waiting[query] = answered
        self._enter(0, query, arrival_s, samples)

    def visits(self) -> Iterator[Visits]:
        """Yield what each pool did, stage by stage."""
        for stop in (stop for stage in self.stops for stop in stage):
            origin = np.array(stop.origin, dtype=np.int64)
            final = self._stages[stop.stage].spec is None
            yield visits_of(stop.name, stop.plan, stop.pool, origin=origin, final=final)

    def _enter(self, stage: int, query: int, arrival_s: float, samples: int) -> None:
        stop = self.stops[stage][self._stages[stage].choose(query)]
        stop.origin.append(query)
        stop.pool.submit(arrival_s, samples)

    def passed(self, stop: _Stop, row: int) -> None:
        """Send a query on from a pool that has scored its last candidate there."""
        query, visit = stop.origin[row], stop.pool.queries
        if stop.stage == 0:
            self.queries.submitted_s[query] = visit.submitted_s[row]
            self.queries.dispatched_s[query] = visit.dispatched_s[row]
        spec = self._stages[stop.stage].spec
        if spec is not None:
            self._hand_over(spec, stop.stage + 1, query, min(visit.samples[row], spec.keep))
            return
        self.queries.replica[query] = visit.replica[row]
        self.queries.finish_s[query] = self._world.env.now
        tell = self._waiting.pop(query, None)
        if tell is not None:
            tell()
        self._done()

    def _hand_over(self, spec: RankingStageSpec, stage: int, query: int, samples: int) -> None:
        env = self._world.env
        left_s = env.now
        host = self.stops[stage][self._stages[stage].choose(query)].host
        seconds = spec.hand_over / self._world.topology.speeds.host + host.seconds(samples)
        if seconds <= 0.0:
            self._enter(stage, query, left_s, samples)
            return
        timer = env.timeout(seconds)
        assert timer.callbacks is not None  # it has just been made
        timer.callbacks.append(lambda _: self._enter(stage, query, left_s, samples))
