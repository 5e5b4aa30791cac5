"""Where the embedding tables of a ranking service are: what a scenario may say about it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import LIST, FieldError, SpecModel
from clustersim.spec.ranking.sharding import ShardingSpec
from clustersim.units import TimeQuantity

__all__ = [
    "CachedEmbeddings",
    "EmbeddingPrecision",
    "EmbeddingsSpec",
    "LocalEmbeddings",
    "RemoteEmbeddings",
]

EmbeddingPrecision = Literal["fp32", "fp16", "bf16", "fp8", "int8"]


class LocalEmbeddings(SpecModel):
    """All tables in the memory of the replica's GPUs."""

    kind: Literal["local"]
    precision: EmbeddingPrecision = "fp32"
    """Of table elements, in memory and on the wire."""
    copies: Literal["sharded", "per-gpu"] = "sharded"
    """`sharded`: one copy over all GPUs of the replica, which work on each batch together and exchange
    indices and pooled embeddings; `per-gpu`: a copy on each GPU, which works alone."""
    sharding: ShardingSpec = ShardingSpec()
    """Which GPU of a replica has which part of which table, where they share one copy."""


class CachedEmbeddings(SpecModel):
    """The hottest rows in GPU memory, all of them in host memory."""

    kind: Literal["cached"]
    precision: EmbeddingPrecision = "fp32"
    """Of table elements, in memory and on the wire."""
    fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """Share of each table's rows that GPU memory holds."""
    hit_rate: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Share of look-ups that find their row there. Default: by the reuse of each table."""


class RemoteEmbeddings(SpecModel):
    """Tables in the host memory of servers over the network: indices go out, pooled embeddings come back."""

    kind: Literal["remote"]
    precision: EmbeddingPrecision = "fp32"
    """Of table elements, in memory and on the wire."""
    servers: Annotated[int, Field(ge=1)] | None = None
    """Hosts that share the tables; each batch asks all that have some of its tables, and waits for the
    slowest. Default: as many as `nodes`, or one."""
    nodes: Annotated[tuple[Annotated[int, Field(ge=0)], ...], LIST, Field(min_length=1)] | None = None
    """Nodes of the cluster, from 0, whose hosts they are, in this order. Default: the last ones."""
    balance: Literal["capacity", "load"] = "capacity"
    """What the servers have alike much of: bytes of tables, or bytes that a sample reads and sends."""
    lookup_overhead: TimeQuantity | None = None
    """Of a server for each request, before it reads rows. Default: that of the pool's `processor`."""

    @model_validator(mode="after")
    def _a_node_for_each_server(self) -> Self:
        if self.nodes is not None and self.servers not in (None, len(self.nodes)):
            raise FieldError(f"{len(self.nodes)} nodes for {self.servers} servers; leave one out", "nodes")
        if self.nodes is not None and len(set(self.nodes)) != len(self.nodes):
            raise FieldError("names a node twice", "nodes")
        return self

    @property
    def number(self) -> int:
        """How many servers there are."""
        return self.servers or len(self.nodes or (0,))


EmbeddingsSpec = Annotated[LocalEmbeddings | CachedEmbeddings | RemoteEmbeddings, Field(discriminator="kind")]
