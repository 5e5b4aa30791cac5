"""What frameworks that train ranking models take on the host, and what they run beside what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.units import SIZE, TIME, parse_quantity

__all__ = ["DEFAULT_FRAMEWORK", "SHELF", "EmbeddingGradient", "RankingFramework", "ranking_framework"]

DEFAULT_FRAMEWORK = "torchrec"
"""The framework of a scenario that names none."""

EmbeddingGradient = Literal["fused", "sparse", "dense"]

_REFERENCE_LAUNCH_S = 19.1e-6
"""`kernel_launch` of an A100 server's host, whose times the catalogue has."""

_TIMES = ("kernel_launch", "graph_launch", "step", "sample", "exchange", "table")
_PLAIN = (
    "words",
    "precision",
    "embedding_kernels",
    "fused",
    "fused_interaction",
    "dropout",
    "autocast",
    "loss_scaling",
    "pooled_copies",
    "row_gradient_passes",
    "bucket_copies",
    "cuda_graphs",
    "host_waits",
    "waits_at_end",
    "input_ahead",
    "index_exchange",
    "index_bytes",
    "forward_exchange",
    "backward_exchange",
    "all_reduce",
    "one_stream",
    "half_exchange",
    "embedding_gradient",
    "bottom_mlp",
    "sharding",
)


@dataclass(frozen=True, kw_only=True)
class RankingFramework:
    """A kind of framework: what its host does in a step, which kernels it has, what overlaps.

    Times hold for the host of an A100 server; `on_host` brings them to others.

    Parameters
    ----------
    words
        Regular expression of what tables of published runs call it; the first framework that fits counts.
    precision
        Of the dense part's products where nothing is said.
    kernel_launch_s, graph_launch_s
        Of the host for each kernel that it launches, and for each captured graph.
    step_s, sample_s
        Of the host in a step beside launches, before the kernels of the next step can be launched: the
        loop, its pipeline, metrics; and what each sample of the rank adds to that where the same thread
        assembles the batch.
    exchange_s
        Of the host for each collective: sizes of what is sent, the call itself.
    table_s
        Of the host for each table of the rank and each direction: splits, views and nodes of autograd.
    embedding_kernels
        Kernels that the look-ups of a rank and direction take; 0: one for each of its tables.
    fused
        Biases and activations are parts of the products' kernels (or one pass after them), casts too.
    fused_interaction
        The interaction is one kernel for each direction; False: products, copies and gathers one by one.
    dropout
        A mask is drawn, kept and applied after each layer of the top MLP.
    autocast
        With a 16-bit dense part pooled embeddings stay in 32 bit up to the first product.
    loss_scaling
        With it, gradients are read, scaled back and written before the update.
    pooled_copies
        Times that pooled embeddings are copied in each direction between the exchange and the interaction.
    row_gradient_passes
        Times that the gradients of looked-up rows are read or written before the update.
    bucket_copies
        Gradients are copied into buckets to be all-reduced, and back.
    cuda_graphs
        The dense part is replayed as CUDA graphs.
    host_waits
        Whether the host waits in each step for something the device computes: sizes of an exchange,
        whether gradients are finite.
    waits_at_end
        Whether it waits for the end of each step before it goes on.
    input_ahead
        Steps before its own in which a batch is copied to the device.
    index_exchange
        `ahead`: indices of the next batch are exchanged beside the dense part of this one.
    index_bytes
        Of an index as it is exchanged.
    forward_exchange, backward_exchange, all_reduce
        Whether pooled embeddings travel beside the bottom MLP, their gradients beside its backward pass,
        and gradients of the dense part beside the rest of the backward pass.
    gradient_bucket_bytes
        Gradients are summed in buckets of at least this size.
    one_stream
        All collectives of a rank follow each other.
    half_exchange
        With a 16-bit dense part pooled embeddings and their gradients travel in 16 bit, too.
    embedding_gradient
        `fused`: the kernel that sums the gradients of a row updates it. `sparse`: a gradient for each
        looked-up row is written, scaled and then added. `dense`: a gradient of the whole table is
        written, and the optimizer walks through all rows.
    bottom_mlp
        `first-rank`: it runs on rank 0 for the samples of all ranks, and its results travel with the
        pooled embeddings; rank 0 then has no tables where more than 4 ranks share them.
    sharding
        Fields of the scenario's `sharding` where it says nothing.
    sources
        Field name to source.
    """

    name: str
    words: str
    precision: str = "fp32"
    kernel_launch_s: float
    graph_launch_s: float
    step_s: float
    sample_s: float = 0.0
    exchange_s: float = 0.0
    table_s: float = 0.0
    embedding_kernels: float = 0.0
    fused: bool = False
    fused_interaction: bool = False
    dropout: bool = False
    autocast: bool = False
    loss_scaling: bool = False
    pooled_copies: float = 0.0
    row_gradient_passes: float = 0.0
    bucket_copies: bool = False
    cuda_graphs: bool = False
    host_waits: bool = False
    waits_at_end: bool = False
    input_ahead: int = 0
    index_exchange: Literal["ahead", "in-step"] = "in-step"
    index_bytes: int = 8
    forward_exchange: bool = False
    backward_exchange: bool = False
    all_reduce: bool = False
    gradient_bucket_bytes: float = 0.0
    one_stream: bool = True
    half_exchange: bool = False
    embedding_gradient: EmbeddingGradient = "fused"
    bottom_mlp: Literal["every-rank", "first-rank"] = "every-rank"
    sharding: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict, compare=False, hash=False)

    def on_host(self, kernel_launch_s: float) -> RankingFramework:
        """Return the framework with its times on another host.

        *Equation.* All times of the host grow with what an eager stream takes it for one launch
        (`Accelerator.kernel_launch_s`), over that of an A100 server.
        """
        times = kernel_launch_s / _REFERENCE_LAUNCH_S
        scaled = {f"{key}_s": getattr(self, f"{key}_s") * times for key in _TIMES}
        return replace(self, **scaled)


def ranking_framework(name: str) -> RankingFramework:
    """Return a framework of the catalogue.

    Raises
    ------
    CatalogError
        For a name that is not there, with the nearest one.
    """
    return SHELF.get(name)


def _build(record: Record) -> RankingFramework:
    entry = record.fields
    given: dict[str, Any] = {f"{key}_s": parse_quantity(entry[key], TIME) for key in _TIMES if key in entry}
    given |= {key: entry[key] for key in _PLAIN if key in entry}
    if "gradient_bucket" in entry:
        given["gradient_bucket_bytes"] = parse_quantity(entry["gradient_bucket"], SIZE)
    given["sharding"] = MappingProxyType(dict(entry.get("sharding", {})))
    sources = {f"{key}_s": record.source(key) for key in _TIMES}
    sources |= {key: record.source(key) for key in _PLAIN}
    sources["gradient_bucket_bytes"] = record.source("gradient_bucket")
    return RankingFramework(name=record.name, **given, sources=MappingProxyType(sources))


SHELF: Shelf[RankingFramework] = Shelf("ranking framework", file="ranking_frameworks.yaml", build=_build)
