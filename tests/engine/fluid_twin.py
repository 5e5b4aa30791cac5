"""A slow fluid simulation over `max_min_rates`, and random cases for it and the fabric."""

from __future__ import annotations

import math
from dataclasses import dataclass

import simpy
from hypothesis import strategies as st

from clustersim.engine.fabric import DEFAULT_TRAFFIC, Fabric, Flow, TrafficClass
from clustersim.engine.fabric.reference import ReferenceClass, max_min_rates


@dataclass(frozen=True)
class Job:
    start_s: float
    size_bytes: float
    weights: dict[int, float]
    bound: float = math.inf
    traffic: TrafficClass = DEFAULT_TRAFFIC


@dataclass(frozen=True)
class Case:
    capacities: list[float]
    jobs: list[Job]
    changes: list[tuple[float, int, float]]
    """Time, link, new capacity."""


def twin_finish_times(case: Case) -> list[float]:
    """Step from change to change, with all rates computed afresh each time."""
    capacities = list(case.capacities)
    left = [job.size_bytes for job in case.jobs]
    finish = [math.nan] * len(left)
    alive: list[int] = []
    arrivals = sorted(range(len(left)), key=lambda i: (case.jobs[i].start_s, i), reverse=True)
    changes = sorted(case.changes, reverse=True)
    now = 0.0
    while arrivals or alive:
        jobs = [case.jobs[i] for i in alive]
        rates = max_min_rates(
            capacities, [ReferenceClass(job.weights, job.bound, traffic=job.traffic) for job in jobs]
        )
        ends = {i: now + left[i] / rate if rate else math.inf for i, rate in zip(alive, rates, strict=True)}
        next_end = min(ends.values(), default=math.inf)
        next_start = case.jobs[arrivals[-1]].start_s if arrivals else math.inf
        next_change = changes[-1][0] if changes else math.inf
        then = min(next_end, next_start, next_change)
        if then == math.inf:
            break
        for i, rate in zip(list(alive), rates, strict=True):
            left[i] -= rate * (then - now)
            if ends[i] <= then * (1 + 1e-15):
                finish[i] = then
                alive.remove(i)
        now = then
        while arrivals and case.jobs[arrivals[-1]].start_s <= now:
            alive.append(arrivals.pop())
        while changes and changes[-1][0] <= now:
            _, link, capacities[link] = changes.pop()
    return finish


def run_fabric(case: Case, *, merge_from: int = 1) -> tuple[Fabric, list[Flow]]:
    """The same case through the fabric."""
    env = simpy.Environment()
    names = [f"link{i}" for i in range(len(case.capacities))]
    fabric = Fabric(env, case.capacities, names=names, merge_from=merge_from)
    flows: dict[int, Flow] = {}

    def start(number: int, job: Job):
        yield env.timeout(job.start_s)
        links, weights = list(job.weights), list(job.weights.values())
        route_set = fabric.route_set(links, weights, traffic=job.traffic)
        flows[number] = fabric.start(route_set, job.size_bytes, bound_bytes_per_s=job.bound)

    def change(time_s: float, link: int, capacity: float):
        yield env.timeout(time_s)
        fabric.set_capacity(link, capacity)

    for number, job in enumerate(case.jobs):
        env.process(start(number, job))
    for time_s, link, capacity in sorted(case.changes, key=lambda entry: entry[0]):
        env.process(change(time_s, link, capacity))
    env.run()
    return fabric, [flows[number] for number in range(len(case.jobs))]


CAPACITIES = st.one_of(st.sampled_from([1.0, 10.0, 100.0]), st.floats(0.5, 200.0))
TIMES = st.one_of(st.integers(0, 8).map(lambda n: n / 2), st.floats(0.0, 5.0))
WEIGHTS = st.one_of(st.just(1.0), st.sampled_from([0.5, 2.0, 3.0]), st.floats(0.1, 5.0))
BOUNDS = st.one_of(st.just(math.inf), st.sampled_from([2.0, 5.0]), st.floats(0.3, 80.0))


@st.composite
def cases(draw: st.DrawFn, *, weighted: bool = True, changing: bool = True) -> Case:
    """Random links, and flows over random subsets of them; many equal values, to get ties."""
    links = draw(st.integers(1, 7))
    capacities = draw(st.lists(CAPACITIES, min_size=links, max_size=links))
    some_links = st.lists(st.integers(0, links - 1), min_size=1, max_size=links, unique=True)
    routes = draw(st.lists(some_links, min_size=1, max_size=6))
    jobs = []
    for _ in range(draw(st.integers(1, 14))):
        route = draw(st.sampled_from(routes))
        weights = {link: draw(WEIGHTS) if weighted else 1.0 for link in route}
        size = draw(st.one_of(st.sampled_from([1.0, 20.0]), st.floats(0.1, 300.0)))
        jobs.append(Job(draw(TIMES), size, weights, draw(BOUNDS) if weighted else math.inf))
    changes = []
    if changing:
        change = st.tuples(TIMES, st.integers(0, links - 1), st.one_of(st.just(0.0), CAPACITIES))
        changes = draw(st.lists(change, max_size=4, unique_by=lambda entry: (entry[0], entry[1])))
    return Case(capacities, jobs, changes)
