"""What inference engines cost on the host, by engine generation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.units import TIME, parse_quantity

__all__ = ["DEFAULT_ENGINE", "SHELF", "InferenceEngine"]

DEFAULT_ENGINE = "vllm-0.5"
"""The engine that a scenario gets unless it gives `host_overhead`."""


@dataclass(frozen=True, kw_only=True)
class InferenceEngine:
    """A kind of inference engine.

    Parameters
    ----------
    host_overhead_s
        Time of each step in which the GPUs wait for the host: scheduling, preparing inputs,
        sampling, sending tokens out.
    sources
        Field name to source.
    """

    name: str
    host_overhead_s: float
    sources: Mapping[str, Source]


def _build(record: Record) -> InferenceEngine:
    return InferenceEngine(
        name=record.name,
        host_overhead_s=parse_quantity(record.fields["host_overhead"], TIME),
        sources=MappingProxyType({"host_overhead_s": record.source("host_overhead")}),
    )


SHELF: Shelf[InferenceEngine] = Shelf("inference engine", file="serving.yaml", build=_build)
