"""Drives of servers: how fast they read and write large blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.units import BANDWIDTH, parse_quantity

__all__ = ["SHELF", "Drive"]


@dataclass(frozen=True, kw_only=True)
class Drive:
    """One NVMe drive.

    Parameters
    ----------
    read_bytes_per_s, write_bytes_per_s
        In sequence, as its maker states them.

    **Valid when** blocks are large (512 tokens of a 70-billion model are 160 MB) and the drive is not
    worn or full. **Source:** `sources`. **Checked by:** tests/catalog/test_drives.py.
    """

    name: str
    read_bytes_per_s: float
    write_bytes_per_s: float
    sources: Mapping[str, Source]


def _build(record: Record) -> Drive:
    return Drive(
        name=record.name,
        read_bytes_per_s=parse_quantity(record.fields["read"], BANDWIDTH),
        write_bytes_per_s=parse_quantity(record.fields["write"], BANDWIDTH),
        sources=MappingProxyType(
            {"read_bytes_per_s": record.source("read"), "write_bytes_per_s": record.source("write")}
        ),
    )


SHELF: Shelf[Drive] = Shelf("drive", file="drives.yaml", build=_build)
