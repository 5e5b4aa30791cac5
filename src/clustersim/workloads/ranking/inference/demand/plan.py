"""What a scenario asks of a ranking service: how many queries, when, and of how many candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clustersim.engine.world import World
from clustersim.errors import InputError, Problem
from clustersim.spec.arrivals import ClientArrivals, ClosedLoopArrivals
from clustersim.spec.ranking.inference import QueryTraceArrivals, RankingInferenceSpec
from clustersim.workloads.ranking.inference.demand.candidates import (
    Candidates,
    CandidateStream,
    candidates_of,
)
from clustersim.workloads.ranking.inference.demand.loads import ClosedQueries, Load, OpenQueries, QueryHost
from clustersim.workloads.serving.arrivals import arrival_times
from clustersim.workloads.serving.client_mixtures import Clients, client_times, clients_of
from clustersim.workloads.serving.csv_rows import read_rows
from clustersim.workloads.serving.csv_times import ARRIVAL, time_reader

__all__ = ["QueryDemand", "plan_queries"]

_CANDIDATES = ("candidates", "samples", "items", "num_candidates")
"""Names of the column of candidates, in lower case."""


@dataclass(frozen=True)
class QueryDemand:
    """The load of a service before any randomness is drawn.

    Parameters
    ----------
    load
        Makes the sending process for a world; `host` is what the host does for a query.
    queries
        How many will be sent, where that is known beforehand.
    """

    load: Callable[[World, QueryHost], Load]
    queries: int | None = None


def plan_queries(spec: RankingInferenceSpec, *, base: Path | None) -> QueryDemand:
    """Read what can be read before the run: trace files, clients and tables.

    Raises
    ------
    InputError
        For a file or a table that cannot be read; paths are relative to the workload.
    """
    arrivals = spec.arrivals
    if isinstance(arrivals, QueryTraceArrivals):
        return _trace(spec, arrivals, base)
    assert spec.candidates is not None  # the spec sees to it
    candidates = candidates_of(spec.candidates)
    if isinstance(arrivals, ClosedLoopArrivals):
        return _closed_loop(spec, arrivals, candidates)
    clients = _clients(arrivals, base) if isinstance(arrivals, ClientArrivals) else None

    def load(world: World, host: QueryHost) -> Load:
        arrival_s = _times(spec, clients, world)
        samples = candidates.draw(world.random(spec.name, "candidates"), len(arrival_s))
        return OpenQueries(arrival_s, samples, host)

    return QueryDemand(load, spec.queries)


def _times(spec: RankingInferenceSpec, clients: Clients | None, world: World) -> np.ndarray:
    arrivals, limits = spec.arrivals, {"requests": spec.queries, "duration_s": spec.duration}
    if isinstance(arrivals, ClientArrivals):
        assert clients is not None
        return client_times(
            clients,
            arrivals,
            streams=lambda client, window: world.random(spec.name, "client", client, window),
            **limits,  # type: ignore[arg-type]
        )
    assert not isinstance(arrivals, QueryTraceArrivals | ClosedLoopArrivals)
    return arrival_times(arrivals, rng=world.random(spec.name, "arrivals"), **limits)  # type: ignore[arg-type]


def _closed_loop(
    spec: RankingInferenceSpec, arrivals: ClosedLoopArrivals, candidates: Candidates
) -> QueryDemand:
    def load(world: World, host: QueryHost) -> Load:
        return ClosedQueries(
            clients=arrivals.clients,
            think_s=arrivals.think_time,
            candidates=CandidateStream(candidates, world.random(spec.name, "candidates")),
            streams=lambda client: world.random(spec.name, "client", client),
            duration_s=spec.duration,
            queries=spec.queries,
            host=host,
        )

    return QueryDemand(load, spec.queries)


def _clients(arrivals: ClientArrivals, base: Path | None) -> Clients:
    try:
        return clients_of(arrivals, base=base)
    except InputError as error:
        raise _at_path(error) from None


def _trace(spec: RankingInferenceSpec, arrivals: QueryTraceArrivals, base: Path | None) -> QueryDemand:
    try:
        arrival_s, samples = read_query_trace((base or Path()) / arrivals.path)
    except InputError as error:
        raise _at_path(error) from None
    arrival_s = arrival_s / arrivals.rate_scale
    kept = len(arrival_s) if spec.queries is None else min(spec.queries, len(arrival_s))
    if spec.duration is not None:
        kept = min(kept, int(np.searchsorted(arrival_s, spec.duration, side="right")))
    return QueryDemand(lambda world, host: OpenQueries(arrival_s[:kept], samples[:kept], host), queries=kept)


def read_query_trace(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read arrival times, in seconds from the first, and candidates of queries; lines need not be sorted.

    Raises
    ------
    InputError
        See `csv_rows.read_rows`.

    **Checked by:** tests/workloads/ranking/test_ranking_inference_demand.py.
    """
    seconds = time_reader()

    def parse(row: Sequence[str]) -> tuple[float, int]:
        arrival, candidates = row
        return seconds(arrival), _candidates(candidates)

    rows = read_rows(path, {"arrival": ARRIVAL, "candidates": _CANDIDATES}, parse)
    arrival_s = np.array([row[0] for row in rows])
    samples = np.array([row[1] for row in rows], dtype=np.int64)
    order = np.argsort(arrival_s, kind="stable")
    return arrival_s[order] - arrival_s[order[0]], samples[order]


def _candidates(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise ValueError(f"candidates is '{text}'; a whole number of at least 1 is expected")
    return int(text)


def _at_path(error: InputError) -> InputError:
    """Return an error that stands at the path of the arrivals where it says no place of its own."""
    place = ("arrivals", "path")
    problems: list[Problem] = [
        problem if problem.file or problem.path else replace(problem, path=place)
        for problem in error.problems
    ]
    return InputError(problems)
