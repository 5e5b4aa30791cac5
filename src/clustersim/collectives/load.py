"""What a phase puts on the links, in arrays: bytes per link, and the pace that leaves each connection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np

from clustersim.catalog.collectives import CollectiveCosts, Protocol
from clustersim.collectives.plan import Connection, Phase

__all__ = ["FALLBACKS", "PhaseLoad", "phase_load", "protocol_of"]

FALLBACKS = {
    "ring": ("ring",),
    "tree": ("tree", "ring"),
    "nvls": ("nvls", "tree", "ring"),
    "sharp": ("sharp", "tree", "ring"),
    "direct": ("direct", "ring"),
    "one_shot": ("one_shot", "direct", "ring"),
    "two_shot": ("two_shot", "direct", "ring"),
    "send_recv": ("send_recv", "direct", "ring"),
}
"""By family of algorithms the families of the cost table to look for, best first."""


def protocol_of(costs: CollectiveCosts, family: str, name: str) -> Protocol | None:
    """Return a protocol of an algorithm family over a technology; None if it has none of this name."""
    table = next(costs.families[key] for key in FALLBACKS[family] if key in costs.families)
    return table.get(name)


@dataclass(frozen=True, eq=False)
class PhaseLoad:
    """A phase on its links.

    Parameters
    ----------
    links
        Links that it uses, ascending.
    volumes
        Bytes on each of them, as a fraction of the collective's size.
    unit
        Bytes of one transport connection, as a fraction of the size: the mean on the link where
        this is least. The fabric shares links per connection, so it is the fluid's variable.
    slowest_link
        Link whose bytes take longest.
    s_per_byte
        For each connection of the phase: the time of its slowest link for the bytes there, per byte
        of the collective's size.
    latency_s
        Of each connection's path.
    costs
        The technologies of the connections.
    technology
        For each connection the index of its own among `costs`.
    own_part
        Bytes that a rank copies in its own memory, per byte that it sends: its own block beside
        those for others, which goes through the same cores.
    """

    links: tuple[int, ...]
    volumes: np.ndarray
    unit: float
    slowest_link: int
    s_per_byte: np.ndarray
    latency_s: np.ndarray
    costs: tuple[CollectiveCosts, ...]
    technology: np.ndarray
    own_part: float


def phase_load(phase: Phase, capacities: np.ndarray) -> PhaseLoad:
    """Add up what the connections of a phase put on the links; each distinct one is looked at once."""
    distinct, index = _distinct(phase.connections)
    volumes = np.bincount(index, weights=np.asarray(phase.volumes), minlength=len(distinct))
    uses = np.bincount(index, minlength=len(distinct)) * _field(distinct, "multiplicity")
    lengths = np.fromiter((len(one.links) for one in distinct), dtype=np.int64, count=len(distinct))
    links = np.fromiter(chain.from_iterable(one.links for one in distinct), dtype=np.int64)
    weights = np.fromiter(chain.from_iterable(one.weights for one in distinct), dtype=float)
    on_link = np.bincount(links, weights=weights * np.repeat(volumes, lengths), minlength=len(capacities))
    crossing = np.bincount(links, weights=weights * np.repeat(uses, lengths), minlength=len(capacities))
    s_per_byte = on_link / capacities
    used = np.flatnonzero(on_link)
    slowest = np.maximum.reduceat(s_per_byte[links], np.cumsum(lengths) - lengths)
    costs, technology = _technologies(distinct)
    return PhaseLoad(
        links=tuple(used.tolist()),
        volumes=on_link[used],
        unit=float((on_link[used] / crossing[used]).min()),
        slowest_link=int(np.argmax(s_per_byte)),
        s_per_byte=slowest[index],
        latency_s=_field(distinct, "latency_s")[index],
        costs=costs,
        technology=technology[index],
        own_part=_own_part(phase),
    )


def _own_part(phase: Phase) -> float:
    """One block beside those that a rank sends in turn (rings) or to all others (direct); else none."""
    if phase.lag == 0:
        return 0.0
    if any(phase.feeds):
        return 1.0 / max(phase.messages)
    sources = {connection.source for connection in phase.connections}
    ends = sources | {connection.target for connection in phase.connections}
    sends = len(phase.connections) / len(sources)
    return 1.0 / sends if sends == len(ends) / phase.groups - 1 else 0.0


def _distinct(connections: Iterable[Connection]) -> tuple[list[Connection], np.ndarray]:
    """The distinct connections, and for each connection its index among them."""
    place: dict[int, int] = {}
    found: list[Connection] = []
    index: list[int] = []
    for connection in connections:
        at = place.setdefault(connection.number, len(found))
        if at == len(found):
            found.append(connection)
        index.append(at)
    return found, np.array(index)


def _field(connections: list[Connection], name: str) -> np.ndarray:
    return np.array([getattr(connection, name) for connection in connections], dtype=float)


def _technologies(connections: list[Connection]) -> tuple[tuple[CollectiveCosts, ...], np.ndarray]:
    place: dict[str, int] = {}
    costs: list[CollectiveCosts] = []
    index: list[int] = []
    for connection in connections:
        at = place.setdefault(connection.costs.name, len(costs))
        if at == len(costs):
            costs.append(connection.costs)
        index.append(at)
    return tuple(costs), np.array(index)
