"""Read-only mappings and arrays, so that a result cannot change after it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from clustersim.workloads.base import Outcome, Table

__all__ = ["FrozenMapping", "frozen_array", "frozen_outcome"]

K = TypeVar("K")
V = TypeVar("V")


class FrozenMapping(Mapping[K, V]):
    """A mapping without ways to change it; unlike `mappingproxy` it can be pickled."""

    __slots__ = ("_data",)

    def __init__(self, data: Mapping[K, V]) -> None:
        self._data = dict(data)

    def __getitem__(self, key: K) -> V:
        return self._data[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return repr(self._data)


def frozen_array(values: np.ndarray) -> np.ndarray:
    """Return a view that refuses assignment; the caller's own array stays as it is."""
    view = np.asarray(values).view()
    view.flags.writeable = False
    return view


def _frozen_table(table: Table) -> Table:
    return FrozenMapping({name: frozen_array(column) for name, column in table.items()})


def frozen_outcome(outcome: Outcome) -> Outcome:
    """Return the outcome with read-only mappings and columns."""
    return replace(
        outcome,
        metrics=FrozenMapping(outcome.metrics),
        tables=FrozenMapping({name: _frozen_table(table) for name, table in outcome.tables.items()}),
        attribution=FrozenMapping(outcome.attribution),
        causes=FrozenMapping(outcome.causes),
        facts=FrozenMapping(outcome.facts),
        notes=tuple(outcome.notes),
    )
