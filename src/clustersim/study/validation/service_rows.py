"""Rows of services: each figure that was measured beside a run of the service, equal services run once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from clustersim.errors import ClusterSimError, InputError
from clustersim.study.executor import call_all, usable_cores
from clustersim.study.validation.framework import Row

__all__ = ["ServiceRows", "by_metric", "positive_number", "typed_cells"]

Found = Mapping[str, float] | str
"""Metrics of a run, or why there are none."""


class _Measured(Hashable, Protocol):
    @property
    def measured(self) -> Mapping[str, float]:
        """Figure to its value."""


Read = TypeVar("Read", bound=_Measured)


def by_metric(row: dict[str, str], metrics: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a row per figure that was measured; column `metric` names it."""
    measured = [name for name in metrics if (row.get(name) or "").strip()]
    return [{**row, "metric": name} for name in measured] or [{**row, "metric": ""}]


def positive_number(name: str, text: str) -> float:
    """Read a cell.

    Raises
    ------
    InputError
        For what is no finite number above 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < float("inf"):
        raise InputError(f"{name} is '{text}'; a number above 0 is expected")
    return value


def typed_cells(
    row: Mapping[str, str], fields: Mapping[str, Any], *, whole: frozenset[str], numbers: frozenset[str]
) -> dict[str, object]:
    """Return the cells of a row that are fields, as numbers where they are; `row_id` is `id`.

    Raises
    ------
    InputError
        With the cell that cannot be read.
    """
    found: dict[str, object] = {}
    for column, text in row.items():
        name = "id" if column == "row_id" else column
        if name in fields and name != "measured" and text and text.strip():
            found[name] = _value(name, text.strip(), whole, numbers)
    return found


def _value(name: str, text: str, whole: frozenset[str], numbers: frozenset[str]) -> object:
    if name in whole:
        number = positive_number(name, text)
        if number != int(number) or number < 1:
            raise InputError(f"{name} is '{text}'; a whole number from 1 is expected")
        return int(number)
    return positive_number(name, text) if name in numbers else text


@dataclass(frozen=True)
class ServiceRows(Generic[Read]):
    """How the rows of one kind of service are predicted.

    Parameters
    ----------
    metrics
        Figure to its unit.
    words
        Columns by which rows are sorted, so that equal services come together.
    rows_per_process
        Rows that are worth a process of their own.
    read
        Turns cells into a row; an `InputError` is why it is not modelled.
    service
        What is simulated for a row: equal for rows that are the same service.
    simulate
        Runs it.
    unusable
        Why a run is no answer to a row, if it is none.
    """

    metrics: Mapping[str, str]
    words: Sequence[str]
    rows_per_process: int
    read: Callable[[Mapping[str, str]], Read]
    service: Callable[[Read], Read]
    simulate: Callable[[Read], Mapping[str, float]]
    unusable: Callable[[Read, Mapping[str, float]], str] | None = None

    def predict(
        self,
        rows: Sequence[dict[str, str]],
        *,
        share: Callable[[Sequence[dict[str, str]]], list[Row]],
        jobs: int | None = None,
    ) -> Iterator[tuple[int, Row]]:
        """Predict the figure of each row of `by_metric`; on all cores where there are many.

        Rows of equal services go to one process, which simulates them once.

        Parameters
        ----------
        share
            Function of a module, which other processes find by its name: calls `predict_share`.
        jobs
            Processes at once. Default: one per core.

        Yields
        ------
        Position and prediction, as they are done.
        """
        alike = sorted(
            range(len(rows)),
            key=lambda position: [rows[position].get(column) or "" for column in self.words],
        )
        parts = max(1, len(rows) // self.rows_per_process)
        places = [alike[part * len(rows) // parts : (part + 1) * len(rows) // parts] for part in range(parts)]
        asked = [[rows[position] for position in each] for each in places]
        cores = usable_cores() if jobs is None else jobs
        for part, answer in call_all(share, asked, jobs=cores):
            if isinstance(answer, Exception):
                raise answer
            yield from zip(places[part], answer, strict=True)

    def predict_share(self, rows: Sequence[dict[str, str]]) -> list[Row]:
        """Predict rows in this process, one after the other."""
        remembered: dict[Read, Found] = {}
        return [self._predict_row(row, remembered) for row in rows]

    def _predict_row(self, row: Mapping[str, str], remembered: dict[Read, Found]) -> Row:
        empty = Row(row["row_id"], row["table"], "", None, None, note=row.get("notes") or "")
        if row.get("refused"):
            return replace(empty, reason=row["refused"])
        try:
            read = self.read(row)
        except InputError as error:
            return replace(empty, reason=str(error))
        service = self.service(read)
        if service not in remembered:
            remembered[service] = self._simulated(service)
        found = remembered[service]
        if not isinstance(found, str) and self.unusable is not None:
            found = self.unusable(read, found) or found
        return self._row(empty, row["metric"], read.measured[row["metric"]], found)

    def _simulated(self, service: Read) -> Found:
        try:
            return self.simulate(service)
        except ClusterSimError as error:
            return str(error)

    def _row(self, empty: Row, name: str, value: float, found: Found) -> Row:
        unit = self.metrics[name]
        figure = name.removesuffix("_s") if unit == "s" else name.removesuffix("_per_s") + "/s"
        row = replace(
            empty, id=f"{empty.id} {figure}", group=f"{empty.group}: {figure}", unit=unit, measured=value
        )
        if isinstance(found, str):
            return replace(row, reason=found)
        if name not in found:
            return replace(row, reason="the simulated run has no such figure")
        return replace(row, predicted=found[name])
