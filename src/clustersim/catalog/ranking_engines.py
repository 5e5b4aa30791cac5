"""What engines that serve ranking models cost on the host, in copies and beside their kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.units import BANDWIDTH, TIME, parse_quantity

__all__ = ["DEFAULT_ENGINE", "KEY_ACCELERATOR", "SHELF", "RankingEngine"]

DEFAULT_ENGINE = "tensorrt"
"""The engine of a scenario that names none."""
KEY_ACCELERATOR = "a100-sxm4-80gb"
"""Where each engine's time per key (`RankingEngine.key_s`) was measured."""

_TIMES = (
    "query_host",
    "query_sample_host",
    "batch_host",
    "sample_host",
    "copy",
    "launch",
    "key",
    "host_rows",
    "host_row",
)
_PLAIN = (
    "copies_in",
    "copies_out",
    "index_bytes",
    "dense_bytes",
    "output_bytes",
    "hand_over",
    "captured",
    "fused",
    "fused_interaction",
    "instances",
    "max_samples",
    "scatter",
)


@dataclass(frozen=True, kw_only=True)
class RankingEngine:
    """A kind of engine: what its host does for a query and for a batch, and how data reach the device.

    Parameters
    ----------
    query_host_s, query_sample_host_s
        Delay of each query before its batch and after it, and what each of its samples adds: client,
        network stack, parsing. They hold no instance.
    batch_host_s, sample_host_s
        Time for which a batch holds its instance before anything is copied, and what each sample adds:
        gathering inputs into one buffer, hand-overs between threads.
    copy_s
        Fixed time of one copy between host and device.
    copies_in, copies_out
        Copies of a batch: tensors of its input and output.
    copy_rate_bytes_per_s
        Of copies that do not reach the host link's rate (pageable memory); None: the link's.
    index_bytes, dense_bytes, output_bytes
        Of one index, of one dense feature and of one sample's result on the host link.
    launch_s
        Between two kernel launches of a pass that is not captured; None: the accelerator's.
    captured
        The dense part is one CUDA graph.
    fused, fused_interaction
        Bias and activation are fused into the products, and the interaction is a kernel of its own instead of
        products, copies and gathers one by one.
    hand_over
        Precision in which pooled embeddings are copied on the device from a sparse model to a dense one
        (ensembles); None: both are one model.
    key_s
        Time of the device per looked-up row beside the gather, on `KEY_ACCELERATOR`: the query of a hash
        cache, or what a framework adds; other devices take it by their memory bandwidth.
    host_rows_s, host_row_s
        Time of the host for a batch with rows in host memory, and for each such row, beside the bytes over
        the host link.
    instances
        Batches that one device has at once: one in its kernels, others copied in or out.
    max_samples
        Samples of the largest batch.
    scatter
        Standard deviation of the logarithm of a batch's time on host and device.
    sources
        Field name to source.
    """

    name: str
    query_host_s: float = 0.0
    query_sample_host_s: float = 0.0
    batch_host_s: float = 0.0
    sample_host_s: float = 0.0
    copy_s: float = 0.0
    copies_in: int = 1
    copies_out: int = 1
    copy_rate_bytes_per_s: float | None = None
    index_bytes: float = 8.0
    dense_bytes: float = 4.0
    output_bytes: float = 4.0
    launch_s: float | None = None
    captured: bool = False
    fused: bool = True
    fused_interaction: bool = True
    hand_over: str | None = None
    key_s: float = 0.0
    host_rows_s: float = 0.0
    host_row_s: float = 0.0
    instances: int = 1
    max_samples: int = 8192
    scatter: float = 0.0
    sources: Mapping[str, Source] = field(default_factory=dict, compare=False, hash=False)

    def input_bytes(self, *, dense_features: float, lookups: float) -> float:
        """Return the bytes of one sample's inputs on the host link."""
        return dense_features * self.dense_bytes + lookups * self.index_bytes


def _build(record: Record) -> RankingEngine:
    entry = record.fields
    given: dict[str, Any] = {f"{key}_s": parse_quantity(entry[key], TIME) for key in _TIMES if key in entry}
    given |= {key: entry[key] for key in _PLAIN if key in entry}
    if "copy_rate" in entry:
        given["copy_rate_bytes_per_s"] = parse_quantity(entry["copy_rate"], BANDWIDTH)
    sources = {f"{key}_s": record.source(key) for key in _TIMES}
    sources |= {key: record.source(key) for key in _PLAIN}
    sources["copy_rate_bytes_per_s"] = record.source("copy_rate")
    return RankingEngine(name=record.name, **given, sources=MappingProxyType(sources))


SHELF: Shelf[RankingEngine] = Shelf("ranking engine", file="ranking_engines.yaml", build=_build)
