"""What a scenario, or a plan file of one's own, says of single tables: kinds, ranks and shards, checked."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clustersim.catalog.ranking_models import EmbeddingTable
from clustersim.errors import InputError, PathPart, Problem, did_you_mean
from clustersim.spec import yaml_io
from clustersim.spec._places import NOWHERE, Place
from clustersim.spec.problems import validate
from clustersim.spec.ranking.sharding import ShardingSpec, ShardSpec, TableShardingSpec, UserPlanSpec
from clustersim.workloads.ranking.sharding.division import divide
from clustersim.workloads.ranking.sharding.shard import Shard, Shards

__all__ = ["TableWishes", "wishes"]


@dataclass(frozen=True)
class TableWishes:
    """The entries of a scenario or plan file that hold for each table.

    Parameters
    ----------
    entries
        By table; None where nothing is said.
    """

    tables: tuple[EmbeddingTable, ...]
    ranks: int
    entries: tuple[TableShardingSpec | None, ...]
    paths: tuple[tuple[PathPart, ...], ...]
    place: Place

    def shards(self) -> Iterator[Shards | None]:
        """Yield for each table the shards that its entry says in full; None where a planner is to choose.

        Raises
        ------
        InputError
            For ranks that there are not, and shards that leave out a row or column or have one twice.
        """
        for number, (table, entry) in enumerate(zip(self.tables, self.entries, strict=True)):
            yield None if entry is None else self._shards(number, table, entry)

    def check_parts(self, *, ranks_per_node: int) -> None:
        """Refuse numbers of parts that cannot be.

        Raises
        ------
        InputError
            For more parts than GPUs or columns, and for parts of nodes.
        """
        for number, entry in enumerate(self.entries):
            if entry is None or entry.parts is None:
                continue
            most = self.ranks
            if entry.kind == "column-wise":
                most = min(most, self.tables[number].dimension)
            if entry.parts > most:
                raise self._problem(number, f"{entry.parts} parts, but at most {most} are possible")
            if entry.kind == "table-row-wise" and entry.parts % ranks_per_node:
                message = f"{entry.parts} parts are no whole nodes of {ranks_per_node} GPUs"
                raise self._problem(number, message)

    def _shards(self, number: int, table: EmbeddingTable, entry: TableShardingSpec) -> Shards | None:
        if entry.shards is not None:
            self._check_ranks(number, [shard.rank for shard in entry.shards])
            return self._listed(number, table, entry.shards)
        if entry.kind is not None and entry.ranks is not None:
            self._check_ranks(number, entry.ranks)
            return divide(number, table, entry.kind, entry.ranks)
        return None

    def _check_ranks(self, number: int, ranks: Sequence[int]) -> None:
        beyond = next((rank for rank in ranks if rank >= self.ranks), None)
        if beyond is not None:
            raise self._problem(number, f"there is no GPU {beyond}; the job's are 0 to {self.ranks - 1}")

    def _listed(self, number: int, table: EmbeddingTable, listed: Sequence[ShardSpec]) -> Shards:
        every_row, every_column = (0, table.rows), (0, table.dimension)
        parts = [
            Shard(number, each.rank, rows[0], rows[1] - rows[0], columns[0], columns[1] - columns[0])
            for each in listed
            for rows, columns in [(each.rows or every_row, each.columns or every_column)]
        ]
        for part in parts:
            self._check_inside(table, part)
        shards = Shards(*(np.array(values, dtype=np.int64) for values in zip(*parts, strict=True)))
        self._check_covered_once(table, shards)
        return shards

    def _check_inside(self, table: EmbeddingTable, part: Shard) -> None:
        for words, first, count, whole in (
            ("rows", part.first_row, part.rows, table.rows),
            ("columns", part.first_column, part.columns, table.dimension),
        ):
            if count <= 0 or first + count > whole:
                raise self._problem(
                    part.table,
                    f"{words} {first} to {first + count} of '{table.name}', which has {words} 0 to {whole}",
                )

    def _check_covered_once(self, table: EmbeddingTable, shards: Shards) -> None:
        number = int(shards.table[0])
        rows = _overlap(shards.first_row, shards.rows)
        twice = np.argwhere(np.triu(rows & _overlap(shards.first_column, shards.columns), k=1))
        if len(twice):
            first, second = twice[0].tolist()
            raise self._problem(number, f"shards {first} and {second} of '{table.name}' overlap")
        covered = int((shards.rows * shards.columns).sum())
        if covered != table.parameters:
            raise self._problem(
                number,
                f"the shards of '{table.name}' hold {covered:,} of its {table.parameters:,} elements "
                f"({table.rows:,} rows of {table.dimension})",
            )

    def _problem(self, number: int, message: str) -> InputError:
        return InputError(self.place.locate(Problem(self.paths[number], message)))


def wishes(
    tables: tuple[EmbeddingTable, ...], sharding: ShardingSpec, *, ranks: int, base: Path | None
) -> TableWishes:
    """Return what is said of each table, in the scenario or in the file that it names.

    Raises
    ------
    InputError
        For entries that fit no table, and for a plan file that leaves out a table.
    """
    if sharding.file is None:
        path: tuple[PathPart, ...] = ("sharding", "tables")
        return _matched(tables, sharding.tables, ranks=ranks, path=path, place=NOWHERE)
    file = (base or Path()) / sharding.file
    document = yaml_io.read(file)
    plan: UserPlanSpec = validate(UserPlanSpec, document.data, place=document.place, known=document.problems)
    found = _matched(tables, plan.tables, ranks=ranks, path=("tables",), place=document.place)
    left_out = [table.name for table, entry in zip(tables, found.entries, strict=True) if entry is None]
    if left_out:
        shown = ", ".join(f"'{name}'" for name in left_out[:3]) + (", …" if len(left_out) > 3 else "")
        message = f"{len(left_out)} of {len(tables)} tables have no entry: {shown}"
        raise InputError(document.place.locate(Problem(("tables",), message)))
    return found


def _matched(
    tables: tuple[EmbeddingTable, ...],
    entries: Sequence[TableShardingSpec],
    *,
    ranks: int,
    path: tuple[PathPart, ...],
    place: Place,
) -> TableWishes:
    names = {table.name for table in tables}
    for position, entry in enumerate(entries):
        if entry.name not in names and not (_is_pattern(entry.name) and fnmatch.filter(names, entry.name)):
            hint = did_you_mean(entry.name, names)
            problem = Problem((*path, position, "name"), f"no table is called '{entry.name}'.{hint}")
            raise InputError(place.locate(problem))
    first = _first_entries(tables, entries)
    return TableWishes(
        tables=tables,
        ranks=ranks,
        entries=tuple(None if n is None else entries[n] for n in first),
        paths=tuple((*path, 0 if n is None else n) for n in first),
        place=place,
    )


def _first_entries(
    tables: Sequence[EmbeddingTable], entries: Sequence[TableShardingSpec]
) -> list[int | None]:
    """Return the number of the first entry that fits each table; names without `*` are looked up at once."""
    exact = {entry.name: number for number, entry in reversed(list(enumerate(entries)))}
    patterns = [(number, entry.name) for number, entry in enumerate(entries) if _is_pattern(entry.name)]
    found = []
    for table in tables:
        fitting = [number for number, text in patterns if fnmatch.fnmatchcase(table.name, text)]
        fitting += [exact[table.name]] if table.name in exact else []
        found.append(min(fitting, default=None))
    return found


def _is_pattern(name: str) -> bool:
    return any(letter in name for letter in "*?[")


def _overlap(first: np.ndarray, count: np.ndarray) -> np.ndarray:
    end = first + count
    overlap: np.ndarray = (first[:, None] < end[None, :]) & (first[None, :] < end[:, None])
    return overlap
