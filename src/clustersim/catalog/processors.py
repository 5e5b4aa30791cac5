"""Sockets of hosts: what serves embedding rows from host memory, or computes layers without a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.errors import CatalogError
from clustersim.units import BANDWIDTH, FLOP_RATE, TIME, parse_quantity

__all__ = ["DEFAULT_PROCESSOR", "SHELF", "Processor"]

DEFAULT_PROCESSOR = "xeon-8480c"
"""The processor of a scenario that names none."""


@dataclass(frozen=True, kw_only=True)
class Processor:
    """One socket.

    Parameters
    ----------
    peak_flops
        All cores, by precision.
    memory_bandwidth_bytes_per_s
        All channels.
    product_efficiency, memory_efficiency
        Share of them that matrix products reach, and gathers of rows and streams.
    operator_s
        Time of the framework for each operator.
    lookup_s
        Time of a server of rows for each request, beside reading them.
    sources
        Field name to source.
    """

    name: str
    peak_flops: Mapping[str, float]
    memory_bandwidth_bytes_per_s: float
    product_efficiency: float
    memory_efficiency: float
    operator_s: float
    lookup_s: float
    sources: Mapping[str, Source]

    def rate(self, precision: str) -> float:
        """Return the peak of a precision, FLOP/s; raise `CatalogError` where it has none."""
        name = "fp32" if precision == "tf32" else precision
        if name not in self.peak_flops:
            have = ", ".join(self.peak_flops)
            raise CatalogError(f"{self.name} has no arithmetic in '{precision}'; it has {have}")
        return self.peak_flops[name]


def _build(record: Record) -> Processor:
    fields = record.fields
    efficiencies = ("product_efficiency", "memory_efficiency")
    return Processor(
        name=record.name,
        peak_flops=MappingProxyType(
            {precision: parse_quantity(rate, FLOP_RATE) for precision, rate in fields["peak_flops"].items()}
        ),
        memory_bandwidth_bytes_per_s=parse_quantity(fields["memory_bandwidth"], BANDWIDTH),
        product_efficiency=fields["product_efficiency"],
        memory_efficiency=fields["memory_efficiency"],
        operator_s=parse_quantity(fields["operator"], TIME),
        lookup_s=parse_quantity(fields["lookup"], TIME),
        sources=MappingProxyType(
            record.sources_of(["peak_flops", "memory_bandwidth", *efficiencies, "operator", "lookup"])
        ),
    )


SHELF: Shelf[Processor] = Shelf("processor", file="processors.yaml", build=_build)
