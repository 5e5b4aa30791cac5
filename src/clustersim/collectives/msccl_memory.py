"""What the buffers of an MSCCL algorithm hold: whose contributions to which chunk of the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from clustersim.collectives.msccl_file import Operation, ProgramFile
from clustersim.errors import InputError

__all__ = ["Memory", "Value", "added"]

_Cell = tuple[int, str, int]


class Value(NamedTuple):
    """A chunk of the data with the ranks whose contributions it holds, as bits."""

    chunk: int
    ranks: int


class Memory:
    """Input, output and scratch buffers of all ranks.

    **Source:** microsoft/msccl-tools, msccl/language/collectives.py: what input and output
    hold, and which lies in the other in place.
    """

    def __init__(self, file: ProgramFile) -> None:
        if file.collective != "all_reduce" and file.chunks % file.ranks:
            raise InputError(f"{file.chunks} chunks do not divide among {file.ranks} ranks")
        self._file = file
        self._part = file.chunks // file.ranks
        self._values = {self._cell(*place): value for place, value in self._given()}

    def _given(self) -> Iterator[tuple[_Cell, Value]]:
        file = self._file
        for rank in range(file.ranks):
            own = self._part if file.collective == "all_gather" else file.chunks
            before = {"all_gather": self._part, "all_to_all": file.chunks}.get(file.collective, 0)
            for index in range(own):
                yield (rank, "i", index), Value(rank * before + index, 1 << rank)

    def _wanted(self) -> Iterator[tuple[_Cell, Value]]:
        """What each chunk of each output should hold."""
        file, part = self._file, max(self._part, 1)
        everyone = (1 << file.ranks) - 1
        for rank in range(file.ranks):
            for index in range(part if file.collective == "reduce_scatter" else file.chunks):
                sender, within = divmod(index, part)
                if file.collective == "all_reduce":
                    value = Value(index, everyone)
                elif file.collective == "reduce_scatter":
                    value = Value(rank * part + index, everyone)
                elif file.collective == "all_gather":
                    value = Value(index, 1 << sender)
                else:
                    value = Value(sender * file.chunks + rank * part + within, 1 << sender)
                yield (rank, "o", index), value

    def _cell(self, rank: int, buffer: str, index: int) -> _Cell:
        file = self._file
        if file.in_place and buffer != "s":
            if file.collective == "all_gather" and buffer == "i":
                return rank, "o", index + rank * self._part
            if file.collective == "reduce_scatter" and buffer == "o":
                return rank, "i", index + rank * self._part
            if file.collective in ("all_reduce", "all_to_all"):
                return rank, "i", index
        return rank, buffer, index

    def read(self, operation: Operation) -> list[Value]:
        """Return what the source of an operation holds; raise `InputError` where that is nothing."""
        return [self._at(operation, *operation.source, number) for number in range(operation.chunks)]

    def _at(self, operation: Operation, buffer: str, first: int, number: int) -> Value:
        value = self._values.get(self._cell(operation.gpu, buffer, first + number))
        if value is None:
            where = f"'{buffer}' {first + number}"
            raise InputError(f"{operation}: reads chunk {where}, which holds nothing yet")
        return value

    def write(self, operation: Operation, values: list[Value]) -> None:
        """Store values at the target of an operation."""
        buffer, first = operation.target
        for number, value in enumerate(values):
            self._values[self._cell(operation.gpu, buffer, first + number)] = value

    def reduce(self, operation: Operation, values: list[Value]) -> None:
        """Add values to the target of an operation."""
        held = [self._at(operation, *operation.target, number) for number in range(operation.chunks)]
        self.write(operation, added(operation, held, values))

    def check(self) -> None:
        """Raise `InputError` for the first chunk of an output that is not what the collective promises."""
        for (rank, buffer, index), wanted in self._wanted():
            value = self._values.get(self._cell(rank, buffer, index))
            if value != wanted:
                raise InputError(
                    f"{self._file.name}: {self._file.collective}: gpu {rank} ends with {_told(value)} "
                    f"in chunk {index} of its output, not {_told(wanted)}"
                )


def added(operation: Operation, one: list[Value], other: list[Value]) -> list[Value]:
    """Add values; raise `InputError` for different chunks and for a contribution that is there already."""
    for left, right in zip(one, other, strict=True):
        if left.chunk != right.chunk or left.ranks & right.ranks:
            raise InputError(f"{operation}: adds {_told(right)} to {_told(left)}")
    return [Value(left.chunk, left.ranks | right.ranks) for left, right in zip(one, other, strict=True)]


def _told(value: Value | None) -> str:
    if value is None:
        return "nothing"
    ranks = [str(rank) for rank in range(value.ranks.bit_length()) if value.ranks >> rank & 1]
    return f"chunk {value.chunk} of rank{'s' * (len(ranks) > 1)} {', '.join(ranks)}"
