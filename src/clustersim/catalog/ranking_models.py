"""Ranking models: embedding tables, how their rows meet, and the layers around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal

from clustersim.catalog._store import Source
from clustersim.catalog.ranking_layers import activation_product_flops, interaction_width, linear_layers
from clustersim.errors import CatalogError, did_you_mean

__all__ = [
    "EMBEDDING_ELEMENT_BYTES",
    "EmbeddingTable",
    "Interaction",
    "InteractionKind",
    "RankingModel",
]

EMBEDDING_ELEMENT_BYTES: Mapping[str, float] = MappingProxyType(
    {"fp32": 4.0, "tf32": 4.0, "fp16": 2.0, "bf16": 2.0, "fp8": 1.0, "int8": 1.0, "int4": 0.5}
)
"""Bytes of one element of a row as it lies in memory; scales of quantised rows are not counted."""

InteractionKind = Literal[
    "dot", "concatenation", "dcn-v2", "transformer", "attention", "attention-gru", "product"
]


@dataclass(frozen=True, kw_only=True)
class EmbeddingTable:
    """One embedding table and how a sample looks things up in it.

    Parameters
    ----------
    pooling
        Mean look-ups per sample (the pooling factor; 1: one-hot).
    pooled
        The looked-up rows are added up to one. False: every row goes on by itself.
    role
        What becomes of the result: a `feature` of the interaction, a step of the `sequence` of
        behaviours (always where not pooled), or a `factor` of a product of factors.
    reuse
        Name of a reuse histogram of the catalogue, which says how often a row is met again; None:
        `skew` says.
    skew
        Exponent of the power law of row popularity; None: each row is as likely as any other.
    precision
        Of the rows; None: that of the other tables (`RankingModel.embedding_bytes`).
    per_candidate
        The feature differs among the candidates of one query. False: a feature of the user,
        looked up once per query.
    """

    name: str
    rows: int
    dimension: int
    pooling: float = 1.0
    pooled: bool = True
    role: Literal["feature", "sequence", "factor"] = "feature"
    reuse: str | None = None
    skew: float | None = None
    precision: str | None = None
    per_candidate: bool = True

    @property
    def parameters(self) -> int:
        """Elements of the table."""
        return self.rows * self.dimension

    @property
    def in_sequence(self) -> bool:
        """Whether the result is a step of the behaviour sequence."""
        return self.role == "sequence" or not self.pooled

    @property
    def output_elements(self) -> float:
        """Elements that one sample's look-ups leave: one row, or all of them where not pooled."""
        return self.dimension * (1.0 if self.pooled else self.pooling)

    def row_bytes(self, precision: str) -> float:
        """Bytes of one row; `precision` holds where the table has none of its own."""
        return self.dimension * _element_bytes(self.precision or precision)


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """How the bottom MLP's result and the embeddings meet, before the top MLP.

    Parameters
    ----------
    kind
        `dot`: all pairs of feature vectors, their products beside the bottom MLP's result.
        `concatenation`: the vectors one behind the other. `dcn-v2`: cross layers over the
        concatenation. `transformer`: HSTU layers over the behaviour sequence. `attention`: the
        sequence weighed by an activation unit against the candidate (DIN). `attention-gru`: two
        recurrent layers over the sequence with attention between them (DIEN). `product`: factors
        multiplied element by element, which join after the top MLP (NCF).
    layers
        Cross layers or HSTU layers.
    rank
        Of a cross layer's two factors; None: one full matrix.
    sequence_length
        Steps of the behaviour sequence (transformer, attention, attention-gru).
    heads, qk_dimension, value_dimension
        Of HSTU's attention, per head.
    unit_inputs, unit_mlp
        Activation unit: vectors of a step's width that enter it, and the widths of its layers. It
        ends in 1 (a weight of the step) or in the step's width (a vector; they are added up).
    hidden
        Width of the recurrent layers.
    gates
        Matrices of a recurrent cell: 3 in a GRU, 1 in a plain cell.
    """

    kind: InteractionKind
    layers: int = 0
    rank: int | None = None
    sequence_length: int = 0
    heads: int = 1
    qk_dimension: int = 0
    value_dimension: int = 0
    unit_inputs: int = 4
    unit_mlp: tuple[int, ...] = ()
    hidden: int = 0
    gates: int = 3


@dataclass(frozen=True, kw_only=True)
class RankingModel:
    """A ranking model: bottom MLP, embedding tables, interaction, top MLP and a head for each task.

    Parameters
    ----------
    dense_features
        Numbers that enter the bottom MLP; without one they go straight to the interaction.
    bottom_mlp, top_mlp
        Output widths of the layers; the last of `top_mlp` is the result where there are no heads.
    task_mlp, tasks
        Output widths of the layers of each task's head, and how many heads there are.

    **Valid when** all samples have the mean number of look-ups; biases are counted as parameters,
    not as FLOPs.
    **Checked by:** tests/catalog/test_ranking_models.py (published table sizes and FLOPs).
    """

    name: str
    dense_features: int
    bottom_mlp: tuple[int, ...]
    tables: tuple[EmbeddingTable, ...]
    interaction: Interaction
    top_mlp: tuple[int, ...]
    task_mlp: tuple[int, ...] = ()
    tasks: int = 1
    published_flops: float | None = None
    published_embedding_bytes: float | None = None
    sources: Mapping[str, Source] = field(default_factory=dict, compare=False, hash=False)

    @property
    def source(self) -> Source:
        """Where the model comes from."""
        return self.sources["all"]

    @cached_property
    def embedding_parameters(self) -> int:
        """Elements of all tables."""
        return sum(table.parameters for table in self.tables)

    def embedding_bytes(self, precision: str = "fp32") -> float:
        """Bytes of all tables; `precision` holds for those without one of their own."""
        return sum(table.rows * table.row_bytes(precision) for table in self.tables)

    @cached_property
    def lookups_per_sample(self) -> float:
        """Rows that one sample reads."""
        return sum(table.pooling for table in self.tables)

    @cached_property
    def pooled_elements(self) -> float:
        """Elements that all look-ups of one sample leave, as they go from table owners to samples."""
        return sum(table.output_elements for table in self.tables)

    @property
    def dense_width(self) -> int:
        """Width of what the dense features bring into the interaction."""
        return self.bottom_mlp[-1] if self.bottom_mlp else self.dense_features

    @cached_property
    def feature_tables(self) -> tuple[EmbeddingTable, ...]:
        """Tables whose pooled rows are features of the interaction."""
        return tuple(each for each in self.tables if each.role == "feature" and each.pooled)

    @cached_property
    def feature_vectors(self) -> int:
        """Vectors that a `dot` interaction takes pairs of: pooled features and the bottom MLP's result."""
        return len(self.feature_tables) + (1 if self.dense_width else 0)

    @cached_property
    def feature_width(self) -> int:
        """Width of all features one behind the other, the bottom MLP's result among them."""
        return self.dense_width + sum(table.dimension for table in self.feature_tables)

    @cached_property
    def sequence_elements(self) -> int:
        """Elements of one sample's behaviour sequence, all steps together."""
        return round(sum(table.output_elements for table in self.tables if table.in_sequence))

    @cached_property
    def step_width(self) -> int:
        """Width of one step of the behaviour sequence; 0 where the interaction takes none."""
        length = self.interaction.sequence_length
        return self.sequence_elements // length if length else 0

    @cached_property
    def factor_width(self) -> int:
        """Width of the product of factors; 0 without any."""
        return next((table.dimension for table in self.tables if table.role == "factor"), 0)

    @cached_property
    def interaction_width(self) -> int:
        """Width of what the interaction hands to the top MLP."""
        return interaction_width(self)

    @cached_property
    def dense_parameters(self) -> int:
        """Weights and biases of all layers, which every rank of a data-parallel group holds."""
        return sum(layer.parameters for layer in linear_layers(self))

    @cached_property
    def flops_per_sample(self) -> float:
        """Operations of the dense part's forward pass for one sample; a multiply-add counts as two."""
        return sum(layer.flops for layer in linear_layers(self)) + activation_product_flops(self)


def _element_bytes(precision: str) -> float:
    try:
        return EMBEDDING_ELEMENT_BYTES[precision]
    except KeyError:
        hint = did_you_mean(precision, EMBEDDING_ELEMENT_BYTES)
        raise CatalogError(f"unknown precision of embeddings '{precision}'.{hint}") from None
