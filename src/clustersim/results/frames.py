"""pandas views of a result; pandas is imported on first use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from clustersim.errors import InputError, did_you_mean
from clustersim.results.columns import FABRIC, metric_info

if TYPE_CHECKING:
    import pandas as pd

    from clustersim.results.result import Result

__all__ = ["links_frame", "metrics_frame", "rates_frame", "sharing_frame", "table_frame"]


def table_frame(result: Result, name: str, table: str) -> pd.DataFrame:
    """Return one table of a workload; `attrs` says which run it comes from.

    Raises
    ------
    InputError
        For a workload or table that is not there.
    """
    outcome = result.outcome(name)
    if table not in outcome.tables:
        raise InputError(f"workload '{name}' has no table '{table}'.{did_you_mean(table, outcome.tables)}")
    return _frame(result, outcome.tables[table], workload=name, table=table)


def links_frame(result: Result) -> pd.DataFrame:
    """Return one row per link that carried anything, busiest first."""
    order = result.fabric.ranking()
    columns = {name: values[order] for name, values in result.fabric.columns().items()}
    return _frame(result, columns, workload=FABRIC, table="links")


def sharing_frame(result: Result) -> pd.DataFrame:
    """Return one row per link, workload and kind of traffic; the busiest link first."""
    columns = result.fabric.sharing_columns()
    place = np.empty(len(result.fabric.names), dtype=int)
    place[result.fabric.ranking()] = np.arange(len(place))
    order = np.argsort(place[result.fabric.sharing.link], kind="stable")
    sorted_columns = {name: values[order] for name, values in columns.items()}
    return _frame(result, sorted_columns, workload=FABRIC, table="sharing")


def rates_frame(result: Result) -> pd.DataFrame:
    """Return one row per span of constant rate of every route; empty where rates were not kept."""
    return _frame(result, result.flows.columns(), workload=FABRIC, table="rates")


def metrics_frame(result: Result) -> pd.DataFrame:
    """Return all metrics as one tidy frame: workload, metric, value, unit."""
    import pandas as pd

    kinds = {name: outcome.kind for name, outcome in result.outcomes.items()} | {FABRIC: FABRIC}
    rows = [
        (name, metric, value, metric_info(kinds[name], metric).unit)
        for name, metrics in result.metrics().items()
        for metric, value in metrics.items()
    ]
    frame = pd.DataFrame(rows, columns=["workload", "metric", "value", "unit"])
    frame.attrs.update(result.provenance())
    return frame


def _frame(result: Result, columns: Mapping[str, np.ndarray], **place: str) -> pd.DataFrame:
    import pandas as pd

    # Copies, because a frame may be changed and a result may not.
    data: dict[str, Any] = {name: np.array(values) for name, values in columns.items()}
    frame = pd.DataFrame(data)
    frame.attrs.update(result.provenance() | place)
    return frame
