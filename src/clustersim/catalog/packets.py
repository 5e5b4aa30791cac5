"""Packet formats: what travels beside payload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.units import SIZE, parse_quantity

__all__ = ["SHELF", "PacketFormat"]


@dataclass(frozen=True, kw_only=True)
class PacketFormat:
    """The packets in which a technology moves a long message.

    *Equation.* efficiency = link_layer · payload / (payload + Σ headers), the payload rate over
    the line rate.

    Parameters
    ----------
    payload_bytes
        Of a full packet.
    headers
        Bytes of each header, trailer and gap beside it.
    link_layer
        Fraction of the line rate that acknowledgements and credits leave to packets.

    **Valid when** messages are long against a packet. **Source:** `sources`.
    **Checked by:** tests/catalog/test_links.py.
    """

    name: str
    payload_bytes: float
    headers: Mapping[str, int]
    link_layer: float
    efficiency: float
    sources: Mapping[str, Source]


def _build(record: Record) -> PacketFormat:
    headers = dict(record.fields["headers"])
    payload_bytes = parse_quantity(record.fields["payload"], SIZE)
    left, of = record.fields.get("link_layer", (1, 1))
    return PacketFormat(
        name=record.name,
        payload_bytes=payload_bytes,
        headers=MappingProxyType(headers),
        link_layer=left / of,
        efficiency=left / of * payload_bytes / (payload_bytes + sum(headers.values())),
        sources={"all": record.source("headers")},
    )


SHELF: Shelf[PacketFormat] = Shelf("packet format", file="packets.yaml", build=_build)
