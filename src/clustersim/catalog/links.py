"""Link types: line rate, usable fraction and latency of one technology."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.units import BANDWIDTH, TIME, parse_quantity

__all__ = ["SHELF", "LinkType"]


@dataclass(frozen=True, kw_only=True)
class LinkType:
    """One link technology, full duplex: all numbers are per direction.

    *Equation.* A message of S bytes over links l takes
    Σ latency_l + S / min_l(bandwidth_l · efficiency_l), alone on the way.

    Parameters
    ----------
    kind
        nvlink, xgmi, pcie, infiniband, ethernet (RoCE), tcp, efa, …
    bandwidth_bytes_per_s
        Line rate. Of a scale-up link (nvlink, xgmi): the sum over all lanes of one GPU.
    efficiency
        Fraction of the line rate that payload reached in measurements.
    latency_s
        Of one traversal: the switch at its end and the cable.
    endpoint_latency_s
        What the adapter and its transport add at each end of a path, beside `latency_s`
        of the links; zero inside a node.
    sources
        Field name to source.

    **Valid when** messages are large against the packet (tens of KiB): below that the
    software latency of the transport, which is no property of the link, decides.
    **Source:** `sources`, field by field. **Checked by:** tests/topology/test_link_and_node_types.py.
    """

    name: str
    kind: str
    bandwidth_bytes_per_s: float
    efficiency: float
    latency_s: float
    endpoint_latency_s: float
    sources: Mapping[str, Source]

    @property
    def usable_bytes_per_s(self) -> float:
        """Payload rate of one direction: line rate × efficiency."""
        return self.bandwidth_bytes_per_s * self.efficiency


_CITED = {
    "bandwidth_bytes_per_s": "bandwidth",
    "efficiency": "usable",
    "latency_s": "latency",
    "endpoint_latency_s": "endpoint_latency",
}


def _build(record: Record) -> LinkType:
    fields = record.fields
    bandwidth = parse_quantity(fields["bandwidth"], BANDWIDTH)
    return LinkType(
        name=record.name,
        kind=fields["kind"],
        bandwidth_bytes_per_s=bandwidth,
        efficiency=parse_quantity(fields["usable"], BANDWIDTH) / bandwidth,
        latency_s=parse_quantity(fields["latency"], TIME),
        endpoint_latency_s=parse_quantity(fields["endpoint_latency"], TIME),
        sources=MappingProxyType({field: record.source(key) for field, key in _CITED.items()}),
    )


SHELF: Shelf[LinkType] = Shelf("link", file="links.yaml", build=_build)
