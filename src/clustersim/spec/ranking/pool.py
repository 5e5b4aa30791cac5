"""What a scenario may say about replicas that serve one ranking model."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import FieldError, SpecModel
from clustersim.spec.placement import PlacementSpec
from clustersim.spec.ranking.batching import BatchingSpec
from clustersim.spec.ranking.embeddings import EmbeddingsSpec, LocalEmbeddings
from clustersim.spec.ranking.model_name import RankingModelName
from clustersim.units import TimeQuantity

__all__ = ["OverheadsSpec", "RankingPoolSpec", "RankingRoutingPolicy"]

RankingRoutingPolicy = Literal["round-robin", "random", "least-outstanding", "shortest-queue", "power-of-two"]


class OverheadsSpec(SpecModel):
    """Times of the serving software, in place of those of its engine in the catalogue."""

    query: TimeQuantity | None = None
    """Of the host for each query, outside the workers: taking it in and answering."""
    query_sample: TimeQuantity | None = None
    """The same for each of its samples."""
    batch: TimeQuantity | None = None
    """Of the host for each batch, while the worker waits."""
    sample: TimeQuantity | None = None
    """The same for each sample of the batch."""


class RankingPoolSpec(SpecModel):
    """Replicas of one ranking model behind one router."""

    model: RankingModelName
    """Ranking model of the catalogue, or the path of a model file."""
    replicas: Annotated[int, Field(ge=1)] = 1
    """Independent copies of the model behind one router."""
    gpus_per_replica: Annotated[int, Field(ge=1)] = 1
    """GPUs of one replica, which share its queue."""
    placement: PlacementSpec = PlacementSpec()
    """Which GPUs."""
    precision: Literal["fp32", "tf32", "fp16", "bf16", "fp8", "int8"] = "fp16"
    """Of the layers: their weights and arithmetic."""
    interaction_precision: Literal["fp32", "tf32", "fp16", "bf16", "fp8", "int8"] | None = None
    """Of the interaction, where it differs. Default: as `precision`."""
    dense_on: Literal["gpu", "cpu"] = "gpu"
    """Where a batch is computed. `cpu`: look-ups and layers on a socket of the host for each of the replica's
    GPUs, which stay idle; nothing is copied."""
    inputs: Literal["host", "device"] = "host"
    """Where the features of candidates lie when a batch begins: `host`, to be copied, or already in the
    memory of the `device`."""
    embeddings: EmbeddingsSpec = LocalEmbeddings(kind="local")
    """Where the tables are."""
    user_features: Literal["once", "per-candidate"] = "once"
    """Tables of the user are looked up once for a query, or again for each of its candidates."""
    instances: Annotated[int, Field(ge=1)] | None = None
    """Batches that a GPU has at once: while one computes, others are prepared and copied. Default: the
    engine's."""
    batching: BatchingSpec = BatchingSpec()
    """How queries become batches."""
    routing: RankingRoutingPolicy = "round-robin"
    """Which replica gets the next query; `shortest-queue` counts samples."""
    engine: str = "tensorrt"
    """Engine of the catalogue (`clustersim catalog ranking-engines`): what its host does for a batch."""
    processor: str = "xeon-8480c"
    """Processor of the catalogue (`clustersim catalog processors`): a socket of the hosts, for layers with
    `dense_on: cpu` and for servers of `remote` embeddings."""
    overheads: OverheadsSpec = OverheadsSpec()
    """Times in place of the engine's."""

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.replicas * self.gpus_per_replica

    @model_validator(mode="after")
    def _processors_have_tables_in_reach(self) -> Self:
        if self.dense_on == "cpu" and self.embeddings.kind == "cached":
            raise FieldError(
                "'cached' is GPU memory in front of the host's; take 'local'", "embeddings", "kind"
            )
        return self
