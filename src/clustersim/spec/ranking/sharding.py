"""What a scenario may say about how embedding tables are divided over the GPUs of a job."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import LIST, FieldError, InputPath, SpecModel
from clustersim.units import SizeQuantity

__all__ = [
    "SHARDING_KINDS",
    "PlanKind",
    "PlannerCost",
    "ShardSpec",
    "ShardingKind",
    "ShardingSpec",
    "TablePlace",
    "TableShardingSpec",
    "UserPlanSpec",
]

ShardingKind = Literal["table-wise", "row-wise", "column-wise", "table-row-wise", "data-parallel"]
SHARDING_KINDS: Final = ("table-wise", "row-wise", "column-wise", "table-row-wise", "data-parallel")

TablePlace = Literal["hbm", "uvm-cached", "uvm", "host"]
PlanKind = Literal["greedy", ShardingKind]
PlannerCost = Literal["kernels", "torchrec", "lookups"]

_Count = Annotated[int, Field(ge=1)]
_Rank = Annotated[int, Field(ge=0)]
_Share = Annotated[float, Field(gt=0.0, le=1.0)]
_Range = Annotated[tuple[Annotated[int, Field(ge=0)], _Count], LIST]


class ShardSpec(SpecModel):
    """One rectangle of a table on one GPU."""

    rank: _Rank
    """GPU of the job, from 0."""
    rows: _Range | None = None
    """First row, and the row after the last. Default: all."""
    columns: _Range | None = None
    """First column, and the column after the last. Default: all."""


class TableShardingSpec(SpecModel):
    """How one table, or several of like name, are divided."""

    name: str
    """Name of the table; `*` and `?` stand for any letters, as in file names. The first entry that fits a
    table holds."""
    kind: ShardingKind | None = None
    """`table-wise`: whole on one GPU; `row-wise`: rows in equal parts over `ranks`; `column-wise`: columns in
    equal parts; `table-row-wise`: rows in equal parts over the GPUs of one node; `data-parallel`: whole on
    every GPU. Default: as the plan chooses."""
    ranks: Annotated[tuple[_Rank, ...], LIST, Field(min_length=1)] | None = None
    """GPUs of the job, from 0, that hold it. Default: as the planner chooses."""
    parts: _Count | None = None
    """Parts that its columns, or rows, are divided into. Default: as the planner chooses."""
    shards: Annotated[tuple[ShardSpec, ...], LIST, Field(min_length=1)] | None = None
    """Its parts one by one, in place of `kind`: they have to cover each row and column once."""
    place: TablePlace | None = None
    """Where its rows are. Default: as the plan says."""
    cache: _Share | None = None
    """Share of its rows that GPU memory holds where `place` is `uvm-cached`. Default: as the plan says."""

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        if self.shards is not None:
            for field in ("kind", "ranks", "parts"):
                if getattr(self, field) is not None:
                    raise FieldError("says the same as 'shards'; give one of them", field)
        if self.kind == "data-parallel" and (self.ranks is not None or self.parts is not None):
            raise FieldError("a table on every GPU has no 'ranks' and no 'parts'", "kind")
        if self.kind == "table-wise" and self.ranks is not None and len(self.ranks) != 1:
            raise FieldError(f"a table-wise table is on one GPU, not on {len(self.ranks)}", "ranks")
        if self.ranks is not None and len(set(self.ranks)) != len(self.ranks):
            raise FieldError("names a GPU twice", "ranks")
        if self.ranks is not None and self.kind is None:
            raise FieldError("needs 'kind', how the table is divided over them", "ranks")
        if self.parts is not None and self.ranks is not None and self.parts != len(self.ranks):
            raise FieldError(f"{self.parts} parts for {len(self.ranks)} GPUs; leave one out", "parts")
        return self


class UserPlanSpec(SpecModel):
    """A file that says of each table where it is: the plan of another planner, or of one's own."""

    tables: Annotated[tuple[TableShardingSpec, ...], LIST, Field(min_length=1)]
    """One entry per table, or per group of tables of like name. Each needs `kind` with `ranks` (but for
    `data-parallel`), or `shards`."""

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        for position, table in enumerate(self.tables):
            whole = table.kind == "data-parallel" or table.shards is not None
            if not whole and (table.kind is None or table.ranks is None):
                raise FieldError(
                    "has to say where the table is: 'kind' with 'ranks', or 'shards'", "tables", position
                )
        return self


class ShardingSpec(SpecModel):
    """How the embedding tables of a ranking model are divided over the GPUs of a job or replica."""

    plan: PlanKind | None = None
    """`greedy`: the planner divides dear tables and puts what costs most on the GPU that has least to do;
    or one kind for all tables. Default: the training framework's, else `greedy`."""
    tables: Annotated[tuple[TableShardingSpec, ...], LIST] = ()
    """Tables that are divided otherwise."""
    file: InputPath | None = None
    """File with a plan of one's own in place of `plan` and `tables`: where each table is."""
    cost: PlannerCost | None = None
    """What the planner balances: `kernels`, the seconds of look-ups, updates and exchanges as simulated;
    `torchrec`, the seconds of TorchRec's estimator with its constants; `lookups`, rows looked up and vectors
    sent, as HugeCTR's does: with several nodes each table is on all GPUs of one node or more. Default: the
    training framework's, else `kernels`."""
    place: TablePlace = "hbm"
    """Where rows are: `hbm`, GPU memory; `uvm-cached`, host memory with the hottest in GPU memory; `uvm`,
    host memory, read by the GPU row by row; `host`, host memory, looked up by the host."""
    cache: _Share = 0.2
    """Share of each table's rows in GPU memory where `place` is `uvm-cached`: TorchRec's default."""
    spill: bool | None = None
    """Tables that do not fit GPU memory go to `uvm-cached`, those with fewest look-ups per byte first.
    Default: the training framework's (true in TorchRec), else false."""
    reserve: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.15
    """Share of GPU memory that tables leave for layers, activations and buffers: TorchRec's default."""
    replicate_below: SizeQuantity | None = None
    """The greedy planner keeps tables of at most this size on every GPU. Default: the training framework's,
    else none."""
    min_columns: _Count = 128
    """The greedy planner cuts no table into parts of fewer columns: TorchRec's default."""

    @property
    def chosen_plan(self) -> PlanKind:
        """The plan, where nobody says otherwise the planner's."""
        return self.plan or "greedy"

    @property
    def chosen_cost(self) -> PlannerCost:
        """What the planner balances, where nobody says otherwise seconds of kernels."""
        return self.cost or "kernels"

    @model_validator(mode="after")
    def _a_file_says_it_all(self) -> Self:
        if self.file is not None:
            for field in ("plan", "tables"):
                if getattr(self, field):
                    raise FieldError("has no meaning beside 'file', which says where each table is", field)
        for position, table in enumerate(self.tables):
            if table.kind is None and table.shards is None and table.place is None and table.cache is None:
                raise FieldError("says nothing of the table", "tables", position)
        return self
