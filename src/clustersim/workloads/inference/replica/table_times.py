"""Step times of a replica from the tables that a scenario names."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from clustersim.catalog.models import TransformerModel
from clustersim.cost.serving.tables import ServingTables, TableTimer, read_tables
from clustersim.errors import InputError, Problem
from clustersim.spec.inference import InferenceSpec

__all__ = ["check_step_times", "exchanges_measured", "table_timer"]

_PATH = ("step_times", "tables")


def table_timer(spec: InferenceSpec, model: TransformerModel, *, base: Path | None) -> TableTimer:
    """Return the timer of `step_times`.

    Parameters
    ----------
    spec
        Of the service or of one of its pools; it has `step_times`.
    model
        For its layers, and for whether keys and values are shared by heads.
    base
        Folder that a relative path starts from.

    Raises
    ------
    InputError
        For tables that cannot be read, that have some of the exchanges alone, and for stages that do
        not divide the layers.
    """
    try:
        return TableTimer(
            _tables_of(spec, base),
            layers=model.layers,
            grouped_query=model.kv_heads < model.heads,
            host_s=spec.host_overhead or 0.0,
            tensor=spec.parallelism.tensor,
            pipeline=spec.parallelism.pipeline,
        )
    except InputError as error:
        raise InputError([Problem(_PATH, problem.message) for problem in error.problems]) from None


def check_step_times(spec: InferenceSpec, model: TransformerModel, *, base: Path | None) -> None:
    """Raise InputError where `step_times` cannot be used; they may be absent."""
    if spec.step_times is not None:
        table_timer(spec, model, base=base)
        exchanges_measured(spec, base=base)


def exchanges_measured(spec: InferenceSpec, *, base: Path | None) -> bool:
    """Whether the exchanges of a step are in `step_times` too, so that the fabric has nothing to do."""
    if spec.step_times is None:
        return False
    tables, layout = _tables_of(spec, base), spec.parallelism
    given = {
        "all_reduce": (layout.tensor > 1, tables.all_reduce_s is not None),
        "send_recv": (layout.pipeline > 1, tables.send_s is not None),
    }
    needed = {name: there for name, (used, there) in given.items() if used}
    if any(needed.values()) and not all(needed.values()):
        missing = next(name for name, there in needed.items() if not there)
        raise InputError(Problem(_PATH, f"there is no {missing}.csv; give all exchanges, or none of them"))
    return bool(needed) and all(needed.values())


def _tables_of(spec: InferenceSpec, base: Path | None) -> ServingTables:
    assert spec.step_times is not None
    folder = (base or Path()) / spec.step_times.tables
    newest = max((file.stat().st_mtime_ns for file in folder.glob("*.csv*")), default=0)
    return _read(folder, newest)


@lru_cache(maxsize=2)
def _read(folder: Path, newest: int) -> ServingTables:
    """Read the tables once for all replicas; `newest`, when they were written, tells versions apart."""
    return read_tables(folder)
