"""Replay a table of flows over a table of links: the finish time of each."""

from __future__ import annotations

import csv
import gc
import gzip
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import simpy

from clustersim.engine.fabric.fabric import Fabric
from clustersim.engine.fabric.flow import Flow
from clustersim.errors import InputError, Problem, did_you_mean

__all__ = ["Columns", "read_columns", "replay_flows"]

Columns = Mapping[str, Any]
"""Columns of equal length by name: a dict of lists or arrays, or a pandas frame."""


def replay_flows(links: Columns, flows: Columns) -> dict[str, Any]:
    """Simulate flows that start at given times and return the table with `finish` filled in.

    Parameters
    ----------
    links
        Columns `bandwidth_Bps` (bytes/s) and, optionally, `latency_s` and `name`; a
        link's index is its row.
    flows
        Columns `bytes`, `start` (seconds) and `path` (link indices: a sequence, or text
        with spaces between them). Other columns are passed through.

    Returns
    -------
    dict
        The columns of `flows`, with `finish` in seconds. A flow's bytes begin to move
        after the sum of the latencies on its path. NaN where a link of capacity zero
        keeps a flow from ever finishing.

    Raises
    ------
    InputError
        For a missing column, or rows that are no flows.

    **Checked by:** SimGrid's answers in tests/engine/test_fabric_simgrid.py.
    """
    _need(links, "links", ("bandwidth_Bps",))
    _need(flows, "flows", ("bytes", "start", "path"))
    capacities = [float(value) for value in links["bandwidth_Bps"]]
    names = list(links["name"]) if "name" in links else [str(index) for index in range(len(capacities))]
    latencies = [float(v) for v in links["latency_s"]] if "latency_s" in links else [0.0] * len(capacities)
    env = simpy.Environment()
    feeder = _Feeder(env, Fabric(env, capacities, names=names), flows, latencies)
    with _no_cycle_collection():
        env.run()
    table = {name: flows[name] for name in flows}
    table["finish"] = np.array([math.nan if flow is None else flow.finished_s for flow in feeder.flows])
    return table


def read_columns(path: str | Path) -> dict[str, list[str]]:
    """Read a CSV file (`.gz` too) as columns of text, by the names in its first line."""
    path = Path(path)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        columns = list(zip(*rows, strict=True))
    return {name: list(columns[i]) if columns else [] for i, name in enumerate(header)}


@contextmanager
def _no_cycle_collection() -> Iterator[None]:
    """Pause the search for garbage cycles: flows leave none, and it takes a quarter of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _need(table: Columns, what: str, names: Sequence[str]) -> None:
    problems = [
        Problem((what,), f"column '{name}' is missing.{did_you_mean(name, [str(key) for key in table])}")
        for name in names
        if name not in table
    ]
    if problems:
        raise InputError(problems)


class _Feeder:
    """Starts the flows in the order of their times: one simpy event in all, no process each."""

    def __init__(
        self, env: simpy.Environment, fabric: Fabric, flows: Columns, latencies: Sequence[float]
    ) -> None:
        self.env = env
        self.fabric = fabric
        self.sizes = [float(size) for size in flows["bytes"]]
        self.paths = [_path(value) for value in flows["path"]]
        self.flows: list[Flow | None] = [None] * len(self.sizes)
        self.begins = [
            float(start) + sum([latencies[link] for link in path])
            for start, path in zip(flows["start"], self.paths, strict=True)
        ]
        order = sorted(range(len(self.begins)), key=self.begins.__getitem__, reverse=True)
        self.order = order
        if order:
            self._arrange()

    def _arrange(self) -> None:
        event = simpy.Event(self.env)
        event._ok = True
        event._value = None
        event.callbacks.append(self._feed)
        self.env.schedule(event, delay=max(0.0, self.begins[self.order[-1]] - self.env.now))

    def _feed(self, _: simpy.Event) -> None:
        fabric, begins, order = self.fabric, self.begins, self.order
        due_s = begins[order[-1]]
        while order and begins[order[-1]] <= due_s:
            row = order.pop()
            self.flows[row] = fabric.start(fabric.route_set(self.paths[row]), self.sizes[row])
        if order:
            self._arrange()


def _path(value: Any) -> tuple[int, ...]:
    return tuple(map(int, value.split())) if isinstance(value, str) else tuple(int(link) for link in value)
