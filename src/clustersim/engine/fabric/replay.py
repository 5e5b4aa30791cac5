"""Replay a table of flows over a table of links: the finish time of each."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import simpy

from clustersim.engine.fabric.columns import Columns, FlowTable, flow_table, read_columns
from clustersim.engine.fabric.compiled.choice import compiled_replay
from clustersim.engine.fabric.compiled.replay import FloatArray, replay
from clustersim.engine.fabric.fabric import Fabric
from clustersim.engine.fabric.flow import Flow

__all__ = ["Columns", "read_columns", "replay_flows"]


def replay_flows(links: Columns, flows: Columns, *, solver: str = "auto") -> dict[str, Any]:
    """Simulate flows that start at given times and return the table with `finish` filled in.

    Parameters
    ----------
    links
        Columns `bandwidth_Bps` (bytes/s) and, optionally, `latency_s`; a link's index is its row.
    flows
        Columns `bytes`, `start` (seconds) and `path` (link indices: a sequence, or text
        with spaces between them). Other columns are passed through.
    solver
        `python` simulates in the interpreter, `compiled` in code that numba compiled (the extra
        `fast`). `auto` takes compiled code where numba is installed, for a thousand flows or more
        and wherever the code is loaded already. The answers agree to 1e-9.

    Returns
    -------
    dict
        The columns of `flows`, with `finish` in seconds. A flow's bytes begin to move
        after the sum of the latencies on its path. NaN where a link of capacity zero
        keeps a flow from ever finishing.

    Raises
    ------
    InputError
        For a missing column, rows that are no flows, an unknown solver, or `compiled` without numba.

    **Checked by:** SimGrid's answers in tests/engine/test_fabric_simgrid.py and
    test_compiled_replay.py.
    """
    use_compiled = compiled_replay(solver, rows=len(flows["bytes"]) if "bytes" in flows else 0)
    rows = flow_table(links, flows, compiled_reader=use_compiled)
    table = {name: flows[name] for name in flows}
    table["finish"] = _compiled(rows) if use_compiled else _interpreted(rows)
    return table


def _compiled(rows: FlowTable) -> FloatArray:
    return replay(rows.capacities_bytes_per_s, rows.sizes_bytes, rows.begins_s, rows.links, rows.ends)


def _interpreted(rows: FlowTable) -> FloatArray:
    env = simpy.Environment()
    capacities = rows.capacities_bytes_per_s.tolist()
    names = [str(link) for link in range(len(capacities))]
    feeder = _Feeder(env, Fabric(env, capacities, names=names, solver="python"), rows)
    with _no_cycle_collection():
        env.run()
    return np.array([math.nan if flow is None else flow.finished_s for flow in feeder.flows])


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


class _Feeder:
    """Starts the flows in the order of their times: one simpy event in all, no process each."""

    def __init__(self, env: simpy.Environment, fabric: Fabric, rows: FlowTable) -> None:
        self.env = env
        self.fabric = fabric
        self.sizes = rows.sizes_bytes.tolist()
        self.paths = rows.paths()
        self.flows: list[Flow | None] = [None] * len(self.sizes)
        self.begins = rows.begins_s.tolist()
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
