"""How fast flows ran over time, and which link held them back: kept where a run was asked to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from clustersim.engine.owners import whole_of
from clustersim.errors import InputError, did_you_mean
from clustersim.results.frozen import frozen_array
from clustersim.results.link_sharing import NO_WORKLOAD, TRANSFER, workload_of

if TYPE_CHECKING:
    import pandas as pd

    from clustersim.engine.world import World
    from clustersim.topology import Topology

__all__ = ["OWN_RATE", "FlowRates", "RateSeries"]

OWN_RATE = "own protocol"
"""Stands in place of a link where a flow ran at its own rate bound."""


@dataclass(frozen=True, eq=False)
class RateSeries:
    """The rate of the flows on one set of routes: constant over each span.

    Parameters
    ----------
    owner, workload, traffic
        Whose flows, as in `LinkSharing`.
    route
        The links that they use: from where to where for a path, else the first of them and how
        many more.
    start_s, end_s
        Of each span; spans in which nothing flowed are left out.
    rate_bytes_per_s
        Of each span: bytes/s of one connection, all flows of this route together.
    held_by
        Of each span: the link that held it back, or `OWN_RATE`.
    """

    owner: str
    workload: str
    traffic: str
    route: str
    start_s: np.ndarray
    end_s: np.ndarray
    rate_bytes_per_s: np.ndarray
    held_by: np.ndarray

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, field.name, frozen_array(value))

    @property
    def title(self) -> str:
        """Owner, traffic and route in one line."""
        return f"{self.owner}: {self.traffic} over {self.route}"

    @property
    def moved_bytes(self) -> float:
        """Integral of the rate."""
        return float((self.rate_bytes_per_s * (self.end_s - self.start_s)).sum())

    def held_s(self) -> dict[str, float]:
        """Return the seconds by what held it back, longest first."""
        names, place = np.unique(self.held_by.astype(str), return_inverse=True)
        seconds = np.bincount(place, weights=self.end_s - self.start_s, minlength=len(names)).tolist()
        total = dict(zip(names.tolist(), seconds, strict=True))
        return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, eq=False)
class FlowRates:
    """Rates of all flows of a run, where it was asked to keep them.

    Parameters
    ----------
    series
        One per owner, kind of traffic and set of routes, in the order in which they were first used.
    kept
        Whether the run was asked to keep rates.
    until_s
        Rates are kept up to this time; infinite where the room for them was enough.

    **Valid when** `kept`; what runs skipped ahead in closed form is in the bytes of links, but has
    no rates of its own. Checked by: tests/results/test_flow_rates.py.
    """

    series: tuple[RateSeries, ...] = ()
    kept: bool = False
    until_s: float = np.inf

    @classmethod
    def of_world(cls, world: World, *, workloads: Collection[str] = ()) -> FlowRates:
        """Take what the fabric of a world recorded up to now."""
        recorder = world.fabric.recorder
        if recorder is None:
            return cls()
        links = np.array([*world.topology.link_names, OWN_RATE], dtype=object)
        series = []
        for route_set, _ in world.fabric.moved_bytes():
            spans = recorder.spans(route_set, world.fabric.now_s)
            if len(spans):
                owner = whole_of(route_set.owner)
                series.append(
                    RateSeries(
                        owner=owner or NO_WORKLOAD,
                        workload=workload_of(owner, workloads),
                        traffic=route_set.purpose or TRANSFER,
                        route=_route(world.topology, route_set.links),
                        start_s=spans[:, 0],
                        end_s=spans[:, 1],
                        rate_bytes_per_s=spans[:, 2],
                        held_by=links[spans[:, 3].astype(np.int64)],
                    )
                )
        return cls(tuple(series), kept=True, until_s=recorder.until_s)

    @property
    def note(self) -> str:
        """What a reader must know of them; empty where all rates were kept."""
        if not np.isfinite(self.until_s):
            return ""
        spans = sum(len(each.start_s) for each in self.series)
        return (
            f"rates of flows were kept until {self.until_s:.6g} s: there is room for {spans:,} spans; "
            "stop the run earlier (run.until) to have the rates of all of it"
        )

    def of(self, name: str) -> tuple[RateSeries, ...]:
        """Return the series of one workload, most bytes first.

        Raises
        ------
        InputError
            If the run kept no rates, or nothing of this name moved bytes.
        """
        if not self.kept:
            raise InputError(
                "the run kept no rates of flows; use cs.run(scenario, keep_rates=True), "
                "or clustersim run --rates"
            )
        names = dict.fromkeys(name for each in self.series for name in (each.workload, each.owner))
        if name not in names:
            raise InputError(f"'{name}' moved no bytes.{did_you_mean(name, names)}")
        found = [each for each in self.series if name in (each.workload, each.owner)]
        return tuple(sorted(found, key=lambda each: -each.moved_bytes))

    def rate(self, name: str) -> pd.DataFrame:
        """Return the spans of one workload: owner, traffic, route, from, to, rate, held back by.

        Raises
        ------
        InputError
            As `of`.
        """
        import pandas as pd

        return pd.DataFrame(_columns(self.of(name)))

    def columns(self) -> dict[str, np.ndarray]:
        """Return all spans as columns for a table."""
        return _columns(self.series)


def _route(topology: Topology, links: Sequence[int]) -> str:
    """Return words for the links of a route set: the ends of a path, else the first and how many more."""
    ends = [topology.link_ends[link] for link in links]
    sources, targets = {source for source, _ in ends}, {target for _, target in ends}
    if len(sources - targets) == len(targets - sources) == 1:
        return f"{(sources - targets).pop()}>{(targets - sources).pop()}"
    more = len(links) - 1
    return f"{topology.link_names[links[0]]} and {more} more link{'s' if more > 1 else ''}"


def _columns(series: Iterable[RateSeries]) -> dict[str, np.ndarray]:
    chosen = list(series)
    lengths = [len(each.start_s) for each in chosen]

    def words(name: str) -> np.ndarray:
        return np.repeat(np.array([getattr(each, name) for each in chosen], dtype=object), lengths)

    def numbers(name: str) -> np.ndarray:
        return np.concatenate([getattr(each, name) for each in chosen] or [np.zeros(0)])

    return {
        **{name: words(name) for name in ("workload", "owner", "traffic", "route")},
        **{name: numbers(name) for name in ("start_s", "end_s", "rate_bytes_per_s", "held_by")},
    }
