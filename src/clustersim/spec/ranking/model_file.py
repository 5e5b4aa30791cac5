"""What a file of a ranking model may say: tables in groups, an interaction, and layers by their widths."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, model_validator

from clustersim.spec._base import LIST, FieldError, SpecModel
from clustersim.units import SizeQuantity

__all__ = ["InteractionSpec", "RankingModelSpec", "TableGroupSpec"]

_Count = Annotated[int, Field(ge=1)]


def _whole(value: Any) -> Any:
    """Take `4e6` for a whole number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _one_group(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


_Rows = Annotated[int, BeforeValidator(_whole), Field(ge=1)]
_Pooling = Annotated[float, Field(gt=0.0, strict=False)]
_Widths = Annotated[tuple[_Count, ...], LIST]


class TableGroupSpec(SpecModel):
    """Embedding tables that have everything in common but, where lists are given, rows and pooling."""

    name: Annotated[str, Field(min_length=1)] = "table"
    """Of the table; those of several get numbers, as in `table.0`."""
    count: _Count | None = None
    """So many tables. Default: as many as `rows` or `pooling` lists, else 1."""
    rows: Annotated[tuple[_Rows, ...], BeforeValidator(_listed), Field(min_length=1)]
    """Of a table; a list gives those of each."""
    dimension: _Count
    """Elements of a row."""
    pooling: Annotated[tuple[_Pooling, ...], BeforeValidator(_listed), Field(min_length=1)] = (1.0,)
    """Mean look-ups per sample; a list gives those of each table."""
    pooled: bool = True
    """Looked-up rows are added up to one; false: every row goes on, as a step of the behaviour sequence."""
    role: Literal["feature", "sequence", "factor"] = "feature"
    """What becomes of the result: a feature of the interaction, a step of the behaviour sequence, or a
    factor of the product that joins after the top MLP."""
    reuse: str | None = None
    """Name of a reuse histogram of the catalogue. Default: `skew` says how rows are met again."""
    skew: Annotated[float, Field(ge=0.0, strict=False)] | None = None
    """Exponent of the power law of row popularity. Default: every row is as likely as any other."""
    precision: Literal["fp32", "fp16", "bf16", "fp8", "int8", "int4"] | None = None
    """Of the rows. Default: that of the workload's embeddings."""
    per_candidate: bool = True
    """Differs among the candidates of a query; false: a feature of the user, looked up once per query."""

    @property
    def tables(self) -> int:
        """Tables of the group."""
        return self.count or max(len(self.rows), len(self.pooling))

    @model_validator(mode="after")
    def _lists_fit(self) -> Self:
        for field in ("rows", "pooling"):
            given = len(getattr(self, field))
            if given not in (1, self.tables):
                raise FieldError(f"lists {given} values for {self.tables} tables", field)
        if not self.pooled and self.role == "factor":
            raise FieldError("rows that are not pooled are steps of the sequence, not factors", "role")
        if self.reuse is not None and self.skew is not None:
            raise FieldError("give either 'reuse' or 'skew', not both", "skew")
        return self


class DotSpec(SpecModel):
    """Products of all pairs of feature vectors, beside the bottom MLP's result (DLRM)."""

    kind: Literal["dot"]
    """Pairwise dot products."""


class ConcatenationSpec(SpecModel):
    """All features one behind the other (Wide & Deep)."""

    kind: Literal["concatenation"]
    """Nothing is computed."""


class CrossSpec(SpecModel):
    """Cross layers over all features one behind the other (DCN-v2)."""

    kind: Literal["dcn-v2"]
    """x_{l+1} = x_0 ∘ (W·x_l + b) + x_l."""
    layers: _Count
    """Cross layers."""
    rank: _Count | None = None
    """Of the two factors of W. Default: W is one full matrix."""


class SequenceSpec(SpecModel):
    """HSTU layers over the behaviour sequence."""

    kind: Literal["transformer"]
    """Hierarchical sequential transduction units."""
    layers: _Count
    """Of them."""
    sequence_length: _Count
    """Steps, the candidate among them."""
    heads: _Count
    """Of attention."""
    qk_dimension: _Count
    """Width of queries and keys, per head."""
    value_dimension: _Count
    """Width of values, and of what gates them, per head."""


class AttentionSpec(SpecModel):
    """The behaviour sequence weighed against the candidate (DIN)."""

    kind: Literal["attention"]
    """One small MLP, the activation unit, says the weight of each step."""
    sequence_length: _Count
    """Steps."""
    unit_inputs: _Count = 4
    """Vectors of a step's width that enter the unit: step, candidate, difference, product."""
    unit_mlp: Annotated[_Widths, Field(min_length=1)]
    """Widths of the unit's layers: the last is 1 (a weight) or a step's width (a vector)."""


class RecurrentSpec(SpecModel):
    """Two recurrent layers over the behaviour sequence, attention between them (DIEN)."""

    kind: Literal["attention-gru"]
    """Interest extraction, attention, interest evolution."""
    sequence_length: _Count
    """Steps, each of which waits for the one before."""
    hidden: _Count
    """Width of both layers."""
    gates: _Count = 3
    """Matrices of a cell: 3 in a GRU, 1 in a plain recurrent cell."""


class ProductSpec(SpecModel):
    """Features one behind the other into the top MLP; factors multiplied join after it (NCF)."""

    kind: Literal["product"]
    """Element by element (generalised matrix factorisation)."""


InteractionSpec = Annotated[
    DotSpec | ConcatenationSpec | CrossSpec | SequenceSpec | AttentionSpec | RecurrentSpec | ProductSpec,
    Discriminator("kind"),
]


class RankingModelSpec(SpecModel):
    """A ranking model of one's own, to be named as `model: my-model.yaml`."""

    ranking_model: Annotated[str, Field(min_length=1)]
    """Its name."""
    source: str = ""
    """Where the numbers are from."""
    dense_features: Annotated[int, Field(ge=0)] = 0
    """Numbers of one sample that are no look-ups."""
    bottom_mlp: _Widths = ()
    """Output widths of the layers that dense features go through. Default: none."""
    tables: Annotated[tuple[TableGroupSpec, ...], BeforeValidator(_one_group), LIST, Field(min_length=1)]
    """Embedding tables: one group, or a list of groups."""
    interaction: InteractionSpec
    """How features meet."""
    top_mlp: _Widths = ()
    """Output widths of the layers after the interaction."""
    task_mlp: _Widths = ()
    """Output widths of each task's head, after the top MLP. Default: the top MLP gives the result."""
    tasks: _Count = 1
    """Heads."""
    published_flops: Annotated[float, Field(gt=0.0, strict=False)] | None = None
    """Of the dense part's forward pass for one sample, as its authors state, for comparison."""
    published_embedding_bytes: SizeQuantity | None = None
    """Of all tables in fp32, as its authors state; what is counted has to be within 1 % of it."""

    @model_validator(mode="after")
    def _layers_fit(self) -> Self:
        if self.bottom_mlp and not self.dense_features:
            raise FieldError("needs 'dense_features' to go through it", "bottom_mlp")
        if self.tasks > 1 and not self.task_mlp:
            raise FieldError(f"is {self.tasks}, so 'task_mlp' has to say what each head is", "tasks")
        if not self.top_mlp and not self.task_mlp:
            raise FieldError("give the layers after the interaction, or heads ('task_mlp')", "top_mlp")
        return self

    @model_validator(mode="after")
    def _tables_fit(self) -> Self:
        if self.interaction.kind == "dot":
            _check_dot(self)
        _check_factors(self)
        _check_sequence(self)
        return self


def _check_dot(model: RankingModelSpec) -> None:
    """Vectors of a dot product have one width."""
    width = model.bottom_mlp[-1] if model.bottom_mlp else None
    if width is None and model.dense_features:
        message = "a dot interaction needs layers that bring dense features to the width of the tables"
        raise FieldError(message, "bottom_mlp")
    for number, group in enumerate(model.tables):
        width = group.dimension if width is None else width
        if group.dimension != width:
            message = f"is {group.dimension}, but a dot interaction pairs it with vectors of {width}"
            raise FieldError(message, "tables", number, "dimension")


def _check_factors(model: RankingModelSpec) -> None:
    factors = [(number, group) for number, group in enumerate(model.tables) if group.role == "factor"]
    if not factors:
        if model.interaction.kind == "product":
            raise FieldError("a product needs tables of role 'factor'", "interaction", "kind")
        return
    first, group = factors[0]
    if model.interaction.kind != "product":
        message = f"factors belong to interaction 'product', not to '{model.interaction.kind}'"
        raise FieldError(message, "tables", first, "role")
    if not model.task_mlp:
        raise FieldError("needs the layers after the product of factors joins", "task_mlp")
    for number, other in factors:
        if other.dimension != group.dimension:
            message = f"is {other.dimension}, but the factors before have {group.dimension}"
            raise FieldError(message, "tables", number, "dimension")


def _check_sequence(model: RankingModelSpec) -> None:
    """The tables of the sequence fill all its steps, and an activation unit ends in what it may."""
    steps = [(number, group) for number, group in enumerate(model.tables) if _in_sequence(group)]
    length = getattr(model.interaction, "sequence_length", None)
    if length is None:
        if steps and model.interaction.kind != "concatenation":
            message = f"interaction '{model.interaction.kind}' takes no behaviour sequence"
            raise FieldError(message, "tables", steps[0][0])
        return
    elements = sum(_sequence_elements(group) for _, group in steps)
    if not elements or elements % length:
        message = f"is {length}, but tables of the sequence bring {elements:g} elements per sample"
        raise FieldError(f"{message}; each step has an equal part of them", "interaction", "sequence_length")
    unit = getattr(model.interaction, "unit_mlp", None)
    if unit and unit[-1] not in (1, elements // length):
        message = f"ends in {unit[-1]}; a unit gives 1 weight or a step's {elements // length:g} elements"
        raise FieldError(message, "interaction", "unit_mlp")


def _in_sequence(group: TableGroupSpec) -> bool:
    return group.role == "sequence" or not group.pooled


def _sequence_elements(group: TableGroupSpec) -> float:
    if group.pooled:
        return float(group.tables * group.dimension)
    each = group.pooling if len(group.pooling) > 1 else group.pooling * group.tables
    return group.dimension * sum(each)
