"""What a scenario asks of a service: how many requests, how long, sent by whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clustersim.engine.world import World
from clustersim.errors import InputError, Problem
from clustersim.spec.demand import ClosedLoopArrivals, TraceArrivals
from clustersim.spec.inference import InferenceSpec
from clustersim.workloads.inference.demand.arrivals import RatedArrivals, arrival_times, limited, scaled
from clustersim.workloads.inference.demand.lengths import Lengths, LengthStream, lengths_of
from clustersim.workloads.inference.demand.load import ClosedLoad, Load, OpenLoad
from clustersim.workloads.inference.demand.trace_files import RequestSet, read_trace

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
    load: Callable[[World, str], Load]
    requests: int | None = None
    notes: tuple[str, ...] = ()


def plan_demand(spec: InferenceSpec, *, base: Path | None) -> Demand:
    """Read what can be read before the run: trace files and length tables.

    Raises
    ------
    InputError
        For a trace or a table that cannot be read; paths are relative to the workload.
    """
    arrivals = spec.arrivals
    if isinstance(arrivals, TraceArrivals):
        return _trace_demand(spec, arrivals, base)
    if spec.lengths is None:
        raise InputError(Problem(("lengths",), f"'{arrivals.kind}' arrivals bring no lengths; give them"))
    lengths = lengths_of(spec.lengths)
    if isinstance(arrivals, ClosedLoopArrivals):
        return Demand(
            lengths.longest,
            lambda world, name: _closed_load(spec, arrivals, lengths, world, name),
            spec.requests,
        )
    return Demand(
        lengths.longest, lambda world, name: _rated_load(spec, arrivals, lengths, world, name), spec.requests
    )


def _trace_demand(spec: InferenceSpec, arrivals: TraceArrivals, base: Path | None) -> Demand:
    path = (base or Path()) / arrivals.path
    try:
        trace = read_trace(path)
    except InputError as error:
        raise InputError([_at_path(problem) for problem in error.problems]) from None
    kept = limited(scaled(trace, arrivals.rate_scale), count=spec.requests, duration_s=spec.duration)
    longest_prompt = int(kept.prompt.max())
    return Demand(
        (longest_prompt, int((kept.prompt + kept.output).max()) - longest_prompt),
        lambda world, name: OpenLoad(kept),
        len(kept.arrival_s),
    )


def _at_path(problem: Problem) -> Problem:
    return problem if problem.file else replace(problem, path=("arrivals", "path"))


def _rated_load(
    spec: InferenceSpec, arrivals: RatedArrivals, lengths: Lengths, world: World, name: str
) -> Load:
    arrival_s = arrival_times(
        arrivals, rng=world.random(name, "arrivals"), requests=spec.requests, duration_s=spec.duration
    )
    prompt, output = LengthStream(lengths, world.random(name, "lengths")).take(len(arrival_s))
    return OpenLoad(RequestSet(arrival_s, prompt, output))


def _closed_load(
    spec: InferenceSpec, arrivals: ClosedLoopArrivals, lengths: Lengths, world: World, name: str
) -> Load:
    def pauses(client: int) -> np.random.Generator:
        return world.random(name, "client", client)

    return ClosedLoad(
        clients=arrivals.clients,
        think_s=arrivals.think_time,
        lengths=LengthStream(lengths, world.random(name, "lengths")),
        streams=pauses,
        requests=spec.requests,
        duration_s=spec.duration,
    )
