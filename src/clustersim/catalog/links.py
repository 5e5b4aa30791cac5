"""Link types: line rate, usable fraction and latency of one technology."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from clustersim.catalog import packets
from clustersim.catalog._store import Record, Shelf, Source
from clustersim.units import BANDWIDTH, TIME, parse_quantity

__all__ = ["SHELF", "LinkType"]


@dataclass(frozen=True, kw_only=True)
class LinkType:
    """One link technology, full duplex: all numbers are per direction.

    *Equation.* A message of S bytes over links l, alone on the way, takes
    message overhead + Σ latency_l + S / min_l(bandwidth_l · efficiency_l), with
    bandwidth = signalling · encoding and efficiency measured; packet headers alone would leave
    `packet_efficiency`, and `packet_gap` = 1 - efficiency / packet_efficiency.

    Parameters
    ----------
    kind
        nvlink, xgmi, pcie, infiniband, ethernet (RoCE), tcp, efa, …
    bandwidth_bytes_per_s
        Line rate. Of a scale-up link (nvlink, xgmi): the sum over all lanes of one GPU.
    signalling_bytes_per_s, encoding
        Rate of raw bits that gives the line rate, and the line code between them; None where they
        are not published.
    packet, packet_efficiency
        Packet format, and the fraction of the line rate that it leaves to payload; None where the
        maker publishes none.
    efficiency
        Fraction of the line rate that payload reached in measurements. This is what is used.
    packet_gap
        Part of what the packets leave that measurements do not reach; above 0.06 its source says why.
    latency_s
        Of one traversal: the switch at its end and the cable.
    endpoint_latency_s
        What the adapter and its transport add at each end of a path, beside `latency_s`
        of the links; zero inside a node.
    message_overhead_s
        What software adds once per message from one GPU's memory to another's: posting it, noticing
        its end, copies to host memory where the transport needs them. A plain transfer pays it; of a
        collective it is part of the measured step latency (`clustersim.catalog.collectives`).
    sources
        Field name to source.

    **Valid when** messages are large against the packet (tens of KiB): below that latency and
    overhead decide, and the last packet's headers are not counted.
    **Source:** `sources`, field by field. **Checked by:** tests/catalog/test_links.py.
    """

    name: str
    kind: str
    bandwidth_bytes_per_s: float
    signalling_bytes_per_s: float | None
    encoding: str | None
    packet: str | None
    packet_efficiency: float | None
    efficiency: float
    packet_gap: float | None
    latency_s: float
    endpoint_latency_s: float
    message_overhead_s: float
    sources: Mapping[str, Source]

    @property
    def usable_bytes_per_s(self) -> float:
        """Payload rate of one direction: line rate × efficiency."""
        return self.bandwidth_bytes_per_s * self.efficiency


_CITED = {
    "bandwidth_bytes_per_s": "bandwidth",
    "signalling_bytes_per_s": "signalling",
    "encoding": "signalling",
    "packet": "packet",
    "efficiency": "usable",
    "packet_gap": "gap",
    "latency_s": "latency",
    "endpoint_latency_s": "endpoint_latency",
    "message_overhead_s": "message_overhead",
}


def _build(record: Record) -> LinkType:
    fields = record.fields
    bandwidth = parse_quantity(fields["bandwidth"], BANDWIDTH)
    signalling, packet = fields.get("signalling"), fields.get("packet")
    efficiency = parse_quantity(fields["usable"], BANDWIDTH) / bandwidth
    left = packets.SHELF.get(packet).efficiency if packet else None
    return LinkType(
        name=record.name,
        kind=fields["kind"],
        bandwidth_bytes_per_s=bandwidth,
        signalling_bytes_per_s=parse_quantity(signalling, BANDWIDTH) if signalling else None,
        encoding=fields.get("encoding"),
        packet=packet,
        packet_efficiency=left,
        efficiency=efficiency,
        packet_gap=1.0 - efficiency / left if left else None,
        latency_s=parse_quantity(fields["latency"], TIME),
        endpoint_latency_s=parse_quantity(fields["endpoint_latency"], TIME),
        message_overhead_s=parse_quantity(fields["message_overhead"], TIME),
        sources=MappingProxyType(
            {field: record.source(key) for field, key in _CITED.items() if key in record.sources}
        ),
    )


SHELF: Shelf[LinkType] = Shelf("link", file="links.yaml", build=_build)
