"""What collectives cost beyond bytes over links: software latency and reachable bandwidth per link kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.units import BANDWIDTH, TIME, parse_quantity

__all__ = ["SHELF", "CollectiveCosts", "Protocol", "collective_costs"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way of moving a message between two ranks, as a latency and a bandwidth.

    Communication libraries carry small messages with flags inside the data (little latency,
    part of the bandwidth) and large ones in blocks with a handshake each; the library takes
    whichever is faster for the size.

    Parameters
    ----------
    start_latency_s
        Time of a collective before its bytes flow at this protocol's pace, however many steps it has.
    step_latency_s
        Software time of one step on one connection, beyond the links' own latency.
    bandwidth_efficiency
        Fraction of the links' usable bandwidth that the protocol reaches.
    local_copy
        Time of a byte that a rank copies in its own memory, relative to one that it sends. A rank
        copies one block beside the k that it sends, by the same cores, so few ranks reach less
        bandwidth than many: a fraction of 1 / (1 + local_copy / k).
    """

    name: str
    start_latency_s: float
    step_latency_s: float
    bandwidth_efficiency: float
    local_copy: float = 0.0


@dataclass(frozen=True, kw_only=True)
class CollectiveCosts:
    """Costs of collectives over one link technology.

    Parameters
    ----------
    kinds
        Kinds of links that it is for: nvlink, xgmi, pcie, infiniband, ethernet, …
    bandwidth_bytes_per_s
        Usable rate of one GPU's connection over these links, by which a link of a kind finds
        its entry.
    base_latency_s
        Time of each collective before its first byte moves (launch and synchronisation).
    families
        By algorithm family (`ring`, `tree`, `nvls`, `direct`, `send_recv`): the protocols it may
        use. `ring` is always there, and stands for `tree`, `direct` and `send_recv` where those are
        not; without `nvls` the switch does not add.
    sources
        Field name to source.

    **Valid when** one rank is one GPU, and the library chooses its protocol by size as NCCL does.
    **Source:** `sources`, field by field. **Checked by:** `clustersim validate collectives`.
    """

    name: str
    kinds: tuple[str, ...]
    bandwidth_bytes_per_s: float
    base_latency_s: float
    families: Mapping[str, Mapping[str, Protocol]]
    sources: Mapping[str, Source]

    def with_latencies_over(self, factor: float) -> CollectiveCosts:
        """Return the costs with every latency divided by a factor."""
        if factor == 1.0:
            return self
        families = {
            family: MappingProxyType({name: _quicker(each, factor) for name, each in protocols.items()})
            for family, protocols in self.families.items()
        }
        return replace(self, base_latency_s=self.base_latency_s / factor, families=MappingProxyType(families))


def _quicker(protocol: Protocol, factor: float) -> Protocol:
    return replace(
        protocol,
        start_latency_s=protocol.start_latency_s / factor,
        step_latency_s=protocol.step_latency_s / factor,
    )


def collective_costs(kind: str, *, bandwidth_bytes_per_s: float) -> CollectiveCosts:
    """Return the entry of a link kind whose bandwidth is nearest (in ratio).

    A kind that the table does not hold is taken as Ethernet.
    """
    entries = _by_kind().get(kind) or _by_kind()["ethernet"]

    def distance(entry: CollectiveCosts) -> float:
        return abs(math.log(max(bandwidth_bytes_per_s, 1.0) / entry.bandwidth_bytes_per_s))

    return min(entries, key=distance)


@cache
def _by_kind() -> dict[str, list[CollectiveCosts]]:
    groups: dict[str, list[CollectiveCosts]] = {}
    for name in SHELF.names():
        entry = SHELF.get(name)
        for kind in entry.kinds:
            groups.setdefault(kind, []).append(entry)
    return groups


def _build(record: Record) -> CollectiveCosts:
    fields = record.fields
    base_s = parse_quantity(fields["base_latency"], TIME)
    families = {family: _protocols(table, base_s) for family, table in fields["families"].items()}
    return CollectiveCosts(
        name=record.name,
        kinds=tuple(fields["kinds"]),
        bandwidth_bytes_per_s=parse_quantity(fields["bandwidth"], BANDWIDTH),
        base_latency_s=base_s,
        families=MappingProxyType(families),
        sources=MappingProxyType(record.sources_of(("bandwidth", "base_latency", "families"))),
    )


def _protocols(family: Mapping[str, Any], base_s: float) -> Mapping[str, Protocol]:
    """Protocols of a family; where it has a base latency of its own, starts make up for the entry's."""
    own_s = parse_quantity(family["base_latency"], TIME) - base_s if "base_latency" in family else 0.0
    copy = float(family.get("local_copy", 0.0))
    return MappingProxyType(
        {
            name: Protocol(
                name,
                own_s + parse_quantity(row["start_latency"], TIME),
                parse_quantity(row["step_latency"], TIME),
                float(row["efficiency"]),
                copy,
            )
            for name, row in family["protocols"].items()
        }
    )


SHELF: Shelf[CollectiveCosts] = Shelf("collective cost", file="collectives.yaml", build=_build)
