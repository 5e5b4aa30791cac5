"""A result as a folder: scenario, metrics, tables, pictures, trace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.errors import InputError, did_you_mean
from clustersim.results.atomic import atomic_path, write_text
from clustersim.results.batch_slices import batch_lanes
from clustersim.results.frames import rates_frame

if TYPE_CHECKING:
    import pandas as pd

    from clustersim.results.fabric_report import LinkUse
    from clustersim.results.result import Result

__all__ = ["FORMATS", "document", "load_metrics", "save"]

FORMATS = ("csv", "parquet")
"""Formats that tables can be kept in."""


def save(result: Result, directory: Path | str, *, formats: Sequence[str] = ("csv",)) -> Path:
    """Write a result to a folder and return its path; each file appears whole or not at all.

    `scenario.yaml`, `metrics.json`, `summary.txt`, `tables/WORKLOAD.TABLE.csv`,
    `tables/fabric.links.csv` and `fabric.sharing.csv` (and `fabric.rates.csv` where rates were
    kept), `pictures/NAME.png` and `.svg`, `trace.perfetto.json.gz`.

    Raises
    ------
    InputError
        For an unknown format, `parquet` without pyarrow, or a folder that cannot be written.
    """
    _check_formats(formats)
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "scenario.yaml", result.scenario.resolved_yaml(folder=folder))
        write_text(folder / "metrics.json", result.to_json() + "\n")
        write_text(folder / "summary.txt", result.summary())
        _save_tables(result, folder / "tables", formats)
        _save_pictures(result, folder / "pictures")
        batches = result.scenario.run.trace and any(map(batch_lanes, result.outcomes.values()))
        if result.trace or batches:
            result.to_perfetto(folder / "trace.perfetto.json.gz")
    except OSError as error:
        raise InputError(f"{folder}: the result cannot be written ({error.strerror or error})") from None
    return folder


def document(result: Result) -> dict[str, Any]:
    """Return what `metrics.json` holds."""
    return {
        "provenance": {**result.provenance(), "simulated_s": result.simulated_s, "wall_s": result.wall_s},
        "metrics": result.metrics(),
        "attribution": {name: dict(outcome.attribution) for name, outcome in result.outcomes.items()},
        "busiest_links": [_link(use) for use in result.fabric.busiest()],
        "bytes_by_tier": result.fabric.bytes_by_tier(),
        "facts": {name: dict(outcome.facts) for name, outcome in result.outcomes.items()},
        "bottlenecks": result.bottlenecks(),
        "pessimistic_collectives": [asdict(found) for found in result.pessimistic_collectives],
        "notes": [*result.notes, *(note for outcome in result.outcomes.values() for note in outcome.notes)],
    }


def load_metrics(directory: Path | str) -> dict[str, Any]:
    """Read `metrics.json` of a saved result back.

    Raises
    ------
    InputError
        If the folder holds no readable one.
    """
    path = Path(directory) / "metrics.json"
    try:
        loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no saved metrics can be read there ({error})") from None
    return loaded


def _link(use: LinkUse) -> dict[str, Any]:
    fields = ("name", "tier", "kind", "capacity_bytes_per_s", "carried_bytes", "mean_utilization")
    rest = ("max_utilization", "saturated_s", "first_saturated_s", "last_saturated_s", "protocol_bound_s")
    return {field: getattr(use, field) for field in (*fields, *rest)} | {"shared_by": dict(use.shared_by)}


def _check_formats(formats: Sequence[str]) -> None:
    for name in formats:
        if name not in FORMATS:
            raise InputError(f"tables cannot be kept as '{name}'.{did_you_mean(name, FORMATS)}")
    if "parquet" in formats and find_spec("pyarrow") is None:
        raise InputError("Parquet needs pyarrow: pip install 'clustersim[parquet]', or keep tables as csv")


def _save_tables(result: Result, folder: Path, formats: Sequence[str]) -> None:
    for name, outcome in result.outcomes.items():
        for table in outcome.tables:
            _save_table(result.table(name, table), folder / f"{name}.{table}", formats)
    _save_table(result.links(), folder / "fabric.links", formats)
    _save_table(result.sharing(), folder / "fabric.sharing", formats)
    if result.flows.kept:
        _save_table(rates_frame(result), folder / "fabric.rates", formats)


def _save_table(frame: pd.DataFrame, stem: Path, formats: Sequence[str]) -> None:
    for suffix in formats:
        with atomic_path(stem.with_name(f"{stem.name}.{suffix}")) as temporary:
            if suffix == "csv":
                frame.to_csv(temporary, index=False)
            else:
                frame.to_parquet(temporary, index=False)


def _save_pictures(result: Result, folder: Path) -> None:
    for name, figure in result.plot.all():
        for suffix in ("png", "svg"):
            with atomic_path(folder / f"{name}.{suffix}") as temporary:
                figure.save(temporary)
