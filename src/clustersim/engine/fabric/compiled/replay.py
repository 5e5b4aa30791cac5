"""A table of flows replayed in compiled code. Imports numba when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clustersim.engine.fabric.compiled.layout import State

__all__ = ["read_paths", "read_values", "replay"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def replay(
    capacities: FloatArray, sizes: FloatArray, begins: FloatArray, links: IntArray, ends: IntArray
) -> FloatArray:
    """Simulate flows that begin to move at given times; return when each is finished (NaN: never).

    Parameters
    ----------
    capacities
        Bytes/s of each link.
    sizes, begins
        Bytes, and seconds, of each flow.
    links, ends
        Their paths one after another, and where each ends. Sorted within each path by the call.
    """
    from clustersim.engine.fabric.compiled.kernel import table_entries

    starts = np.diff(ends, prepend=0)
    moving = (sizes > 0.0) & (starts > 0)
    finish = np.where(moving, np.nan, np.maximum(begins, 0.0))
    order = np.argsort(begins, kind="stable")
    order = order[moving[order]]
    rows, crossings = len(sizes), len(links)
    state = State(
        metered=False,
        bundles=len(capacities),
        bundle_spans=len(capacities),
        touched=len(capacities),
        classes=rows,
        crossings=crossings,
        flows=rows,
        queue=rows,
        levels=len(capacities) + rows + crossings,
        members=crossings,
        active=rows,
        dirty=rows,
        chosen=rows,
        done=rows,
    )
    state.head["bundles"] = len(capacities)
    bundles = state.tables["bundles"]
    bundles["capacity"] = capacities
    bundles["level"] = bundles["saturated_since"] = np.inf
    slots = np.full(1 << (2 * rows).bit_length(), -1, dtype=np.int32)
    classes = np.empty(rows, dtype=np.int32)
    table_entries().replay(state.address, links, ends, order, classes, slots, begins, sizes, finish)
    return finish


def read_values(column: Sequence[str]) -> FloatArray | None:
    """Read a column of text as floats, the same to the last bit as `float` does; None if it is not all text.

    Raises
    ------
    ValueError
        For text that is no number.
    """
    from clustersim.engine.fabric.compiled.kernel import table_entries

    text = _joined(column)
    if text is None:
        return None
    values, odd = np.empty(len(column)), np.zeros(len(column), dtype=np.bool_)
    if table_entries().read_decimals(text, values, odd) != len(column):
        return None
    for row in np.flatnonzero(odd).tolist():
        values[row] = float(column[row])
    return values


def read_paths(column: Sequence[str]) -> tuple[IntArray, IntArray] | None:
    """Read a column of text as paths: all links, and where each path ends; None if it is no such text."""
    from clustersim.engine.fabric.compiled.kernel import table_entries

    text = _joined(column)
    if text is None:
        return None
    numbers, ends = np.empty(len(text) // 2 + 1, dtype=np.int64), np.empty(len(column), dtype=np.int64)
    if table_entries().read_integers(text, numbers, ends) != len(column):
        return None
    return numbers[: ends[-1] if len(ends) else 0].copy(), ends


def _joined(column: Sequence[Any]) -> npt.NDArray[np.uint8] | None:
    """Return the lines of a column of text, each with its end; None if something in it is not text."""
    try:
        text = "\n".join(column)
        return np.frombuffer(bytearray(f"{text}\n", "ascii"), dtype=np.uint8)
    except (TypeError, UnicodeEncodeError):
        return None
