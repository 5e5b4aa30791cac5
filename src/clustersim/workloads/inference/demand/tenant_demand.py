"""The load of one tenant, or of a service without any: what is known before the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from clustersim.errors import InputError, PathPart, Problem
from clustersim.spec.arrivals import (
    ArrivalsSpec,
    ClientArrivals,
    ClosedLoopArrivals,
    RatedArrivals,
    SessionArrivals,
    TraceArrivals,
)
from clustersim.spec.lengths import LengthsSpec
from clustersim.workloads.inference.demand.lengths import Lengths, LengthStream, lengths_of
from clustersim.workloads.inference.demand.load import ClosedLoad, Load, OpenLoad
from clustersim.workloads.inference.demand.request_set import RequestSet
from clustersim.workloads.inference.demand.sessions import SessionLoad
from clustersim.workloads.inference.demand.trace_files import read_trace
from clustersim.workloads.serving.arrivals import arrival_times
from clustersim.workloads.serving.client_mixtures import client_times, clients_of

__all__ = ["Limits", "Streams", "TenantDemand", "plan_tenant"]

_JSON_LINES = (".jsonl", ".jsonl.gz")


class Streams(Protocol):
    """Random streams of a tenant by what they are for."""

    def __call__(self, *source: str | int) -> np.random.Generator:
        """Return the stream of one source, e.g. `streams("client", 3)`."""


@dataclass(frozen=True)
class Limits:
    """When a service has sent enough, and the tokens of a block of its KV cache."""

    requests: int | None
    duration_s: float | None
    block_tokens: int


@dataclass(frozen=True)
class TenantDemand:
    """What one tenant asks for; see `Demand`."""

    longest: tuple[int, int]
    load: Callable[[Streams], Load]
    requests: int | None = None


def plan_tenant(
    arrivals: ArrivalsSpec, lengths: LengthsSpec | None, limits: Limits, *, base: Path | None
) -> TenantDemand:
    """Read what one tenant's load needs.

    Raises
    ------
    InputError
        For a file or a table that cannot be read; paths are relative to the tenant.
    """
    if isinstance(arrivals, TraceArrivals):
        return _trace(arrivals, limits, base)
    if lengths is None:
        raise InputError(Problem(("lengths",), f"'{arrivals.kind}' arrivals bring no lengths; give them"))
    try:
        source = lengths_of(lengths, base=base)
    except InputError as error:
        raise _located(error, ("lengths", "path")) from None
    if isinstance(arrivals, SessionArrivals):
        return _sessions(arrivals, source, limits)
    if isinstance(arrivals, ClientArrivals):
        return _clients(arrivals, source, limits, base)
    if isinstance(arrivals, ClosedLoopArrivals):
        return _closed_loop(arrivals, source, limits)
    return TenantDemand(
        source.longest,
        lambda streams: _open(_times(arrivals, streams, limits), source, streams),
        limits.requests,
    )


def _trace(arrivals: TraceArrivals, limits: Limits, base: Path | None) -> TenantDemand:
    try:
        trace = _read(arrivals, (base or Path()) / arrivals.path)
    except InputError as error:
        raise _located(error, ("arrivals", "path")) from None
    kept = trace.scaled(arrivals.rate_scale).limited(count=limits.requests, duration_s=limits.duration_s)
    prompt = int(kept.prompt.max())
    longest = (prompt, int((kept.prompt + kept.output).max()) - prompt)
    return TenantDemand(longest, lambda streams: OpenLoad(kept), len(kept))


def _read(arrivals: TraceArrivals, path: Path) -> RequestSet:
    if not path.name.endswith(_JSON_LINES):
        return read_trace(path, only=[(row.column, row.equals) for row in arrivals.rows])
    if arrivals.rows:
        raise InputError(Problem(("arrivals", "rows"), f"{path} has no columns; 'rows' is for CSV"))
    from clustersim.workloads.inference.demand.mooncake import read_mooncake

    return read_mooncake(path)


def _located(error: InputError, place: tuple[PathPart, ...]) -> InputError:
    """Return an error that stands at a field of the scenario where it says no place of its own."""
    return InputError(
        [
            problem if problem.file or problem.path else replace(problem, path=place)
            for problem in error.problems
        ]
    )


def _closed_loop(arrivals: ClosedLoopArrivals, lengths: Lengths, limits: Limits) -> TenantDemand:
    def load(streams: Streams) -> Load:
        return ClosedLoad(
            clients=arrivals.clients,
            think_s=arrivals.think_time,
            lengths=LengthStream(lengths, streams("lengths")),
            streams=lambda client: streams("client", client),
            duration_s=limits.duration_s,
        )

    return TenantDemand(lengths.longest, load, limits.requests)


def _times(arrivals: RatedArrivals, streams: Streams, limits: Limits) -> np.ndarray:
    return arrival_times(
        arrivals, rng=streams("arrivals"), requests=limits.requests, duration_s=limits.duration_s
    )


def _open(arrival_s: np.ndarray, lengths: Lengths, streams: Streams) -> OpenLoad:
    prompt, output = LengthStream(lengths, streams("lengths")).take(len(arrival_s))
    return OpenLoad(RequestSet(arrival_s, prompt, output))


def _clients(arrivals: ClientArrivals, lengths: Lengths, limits: Limits, base: Path | None) -> TenantDemand:
    try:
        clients = clients_of(arrivals, base=base)
    except InputError as error:
        raise _located(error, ("arrivals", "path")) from None

    def load(streams: Streams) -> Load:
        arrival_s = client_times(
            clients,
            arrivals,
            streams=lambda client, window: streams("client", client, window),
            requests=limits.requests,
            duration_s=limits.duration_s,
        )
        return _open(arrival_s, lengths, streams)

    return TenantDemand(lengths.longest, load)


def _sessions(arrivals: SessionArrivals, lengths: Lengths, limits: Limits) -> TenantDemand:
    def load(streams: Streams) -> Load:
        return SessionLoad(
            arrivals,
            start_s=_times(arrivals.starts, streams, limits),
            lengths=lengths,
            streams=lambda session: streams("session", session),
            hash_tokens=limits.block_tokens,
            duration_s=limits.duration_s,
        )

    return TenantDemand((arrivals.context_limit - 1, 1), load)
