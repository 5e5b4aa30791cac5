"""The trace as Chrome trace JSON, which ui.perfetto.dev and chrome://tracing open.

One process per workload, one thread per stream or worker; a complete event ("ph": "X") per activity, and
per batch of a ranking service, with times in microseconds, and counters ("ph": "C") for the utilisation of
the busiest links, for the services' KV cache and, where they were kept, for the rates of flows.

Source: Trace Event Format, Google, 2016
(docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clustersim.results.atomic import atomic_path
from clustersim.results.batch_slices import BatchSlice, batch_lanes, batch_slices
from clustersim.results.columns import FABRIC

if TYPE_CHECKING:
    from clustersim.engine.trace import Activity
    from clustersim.results.flow_rates import RateSeries
    from clustersim.results.result import Result

__all__ = ["events", "write_perfetto"]

_LINK_COUNTERS = 10
_US_PER_S = 1e6


def write_perfetto(result: Result, path: Path | str) -> Path:
    """Write the trace to `path`, compressed where the name ends in `.gz`; return the path."""
    target = Path(path)
    with atomic_path(target) as temporary, temporary.open("wb") as raw:
        if target.suffix == ".gz":
            # No name and no time in the header: the same result gives the same file.
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as file:
                _write(result, file)
        else:
            _write(result, raw)
    return target


def _write(result: Result, file: Any) -> None:
    other = json.dumps(result.provenance(), ensure_ascii=False)
    file.write(f'{{"displayTimeUnit":"ms","otherData":{other},"traceEvents":[\n'.encode())
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    for number, event in enumerate(events(result)):
        file.write(f"{',' if number else ''}{encode(event)}\n".encode())
    file.write(b"]}\n")


def events(result: Result) -> Iterator[dict[str, Any]]:
    """Yield the events: names of processes and threads, activities, counters."""
    lanes = _Lanes(result)
    yield from lanes.names()
    for row, activity in enumerate(result.trace):
        yield _activity(activity, row, *lanes.place(row))
    for outcome in result.outcomes.values():
        for batch in batch_slices(outcome):
            yield _batch(batch, *lanes.of(batch.lane))
    yield from _link_counters(result, lanes.process(FABRIC))
    for name in result.outcomes:
        yield from _kv_counters(result, name, lanes.process(name))
    for series in result.flows.series:
        yield from _rate_counters(series, lanes.process(series.workload))


class _Lanes:
    """Gives each stream its thread; activities of one lane that overlap get further threads."""

    def __init__(self, result: Result) -> None:
        self._processes = {name: number for number, name in enumerate([*result.outcomes, FABRIC], start=1)}
        self._threads: dict[tuple[str, int], tuple[int, int]] = {}
        self._places: list[tuple[int, int]] = [(0, 0)] * len(result.trace)
        self._assign(result)
        for outcome in result.outcomes.values():
            for lane in batch_lanes(outcome):
                self._thread(lane, 0)

    def process(self, name: str) -> int:
        """Return the process number of a workload (or of what else has lanes)."""
        return self._processes.setdefault(name, len(self._processes) + 1)

    def place(self, row: int) -> tuple[int, int]:
        """Return process and thread of an activity."""
        return self._places[row]

    def of(self, lane: str) -> tuple[int, int]:
        """Return process and thread of a lane that does one thing at a time."""
        return self._thread(lane, 0)

    def names(self) -> Iterator[dict[str, Any]]:
        """Yield the metadata events that name processes and threads and put them in order."""
        for name, process in self._processes.items():
            yield _metadata("process_name", process, 0, name=name)
            yield _metadata("process_sort_index", process, 0, sort_index=process)
        for (lane, copy), (process, thread) in self._threads.items():
            yield _metadata("thread_name", process, thread, name=_thread_name(lane, copy))
            yield _metadata("thread_sort_index", process, thread, sort_index=thread)

    def _assign(self, result: Result) -> None:
        busy_until_s: dict[str, list[float]] = {}
        trace = result.trace
        for row in sorted(range(len(trace)), key=lambda index: (trace[index].start_s, index)):
            activity = trace[row]
            ends = busy_until_s.setdefault(activity.lane, [])
            copy = next((k for k, end_s in enumerate(ends) if end_s <= activity.start_s + 1e-12), len(ends))
            if copy == len(ends):
                ends.append(0.0)
            ends[copy] = activity.end_s
            self._places[row] = self._thread(activity.lane, copy)

    def _thread(self, lane: str, copy: int) -> tuple[int, int]:
        place = self._threads.get((lane, copy))
        if place is None:
            owner = lane.partition("/")[0]
            workload = owner if owner in self._processes else owner.rpartition(".")[0] or owner
            place = (self.process(workload), len(self._threads) + 1)
            self._threads[lane, copy] = place
        return place


def _thread_name(lane: str, copy: int) -> str:
    owner, _, stream = lane.partition("/")
    replica = owner.rpartition(".")[2] if "." in owner else ""
    parts = [f"replica {replica}" if replica else "", stream or owner, f"({copy + 1})" if copy else ""]
    return " ".join(part for part in parts if part)


def _metadata(event: str, process: int, thread: int, **args: str | int) -> dict[str, Any]:
    return {"ph": "M", "name": event, "pid": process, "tid": thread, "args": args}


def _activity(activity: Activity, row: int, process: int, thread: int) -> dict[str, Any]:
    duration_s = activity.end_s - activity.start_s
    split = {name: round(seconds * _US_PER_S, 3) for name, seconds in activity.shares.items() if seconds > 0}
    return {
        "ph": "X",
        "name": activity.label or activity.kind,
        "cat": activity.kind,
        "ts": round(activity.start_s * _US_PER_S, 3),
        "dur": round(duration_s * _US_PER_S, 3),
        "pid": process,
        "tid": thread,
        "args": {"row": row, "cause": activity.cause, "us": split},
    }


def _batch(batch: BatchSlice, process: int, thread: int) -> dict[str, Any]:
    seconds = {"kernels": batch.kernels_s, "waited": batch.waited_s}
    split = {name: round(value * _US_PER_S, 3) for name, value in seconds.items()}
    return {
        "ph": "X",
        "name": f"{batch.samples} samples",
        "cat": "batch",
        "ts": round(batch.start_s * _US_PER_S, 3),
        "dur": round((batch.end_s - batch.start_s) * _US_PER_S, 3),
        "pid": process,
        "tid": thread,
        "args": {"queries": batch.queries, "us": split},
    }


def _counter(name: str, process: int, time_s: float, **values: float) -> dict[str, Any]:
    return {
        "ph": "C",
        "name": name,
        "pid": process,
        "tid": 0,
        "ts": round(time_s * _US_PER_S, 3),
        "args": values,
    }


def _link_counters(result: Result, process: int) -> Iterator[dict[str, Any]]:
    fabric = result.fabric
    for link in fabric.ranking()[:_LINK_COUNTERS]:
        series = fabric.utilization[link]
        changed = np.flatnonzero(np.diff(series, prepend=-1.0))
        for index in changed:
            time_s = float(fabric.bin_edges_s[index])
            yield _counter(fabric.names[link], process, time_s, utilization=round(float(series[index]), 4))
        if len(series):
            yield _counter(fabric.names[link], process, float(fabric.bin_edges_s[-1]), utilization=0.0)


def _rate_counters(series: RateSeries, process: int) -> Iterator[dict[str, Any]]:
    name = f"rate {series.title}"
    spans = zip(series.start_s.tolist(), series.end_s.tolist(), series.rate_bytes_per_s.tolist(), strict=True)
    before_s = None
    for start_s, end_s, rate in spans:
        if before_s is not None and before_s < start_s:
            yield _counter(name, process, before_s, bytes_per_s=0.0)
        yield _counter(name, process, start_s, bytes_per_s=round(rate, 1))
        before_s = end_s
    if before_s is not None:
        yield _counter(name, process, before_s, bytes_per_s=0.0)


def _kv_counters(result: Result, name: str, process: int) -> Iterator[dict[str, Any]]:
    steps = result.outcomes[name].tables.get("steps")
    if steps is None or "kv_used_fraction" not in steps:
        return
    columns = zip(steps["end_s"], steps["replica"], steps["kv_used_fraction"], steps["batch"], strict=True)
    for end_s, replica, used, batch in columns:
        yield _counter(f"replica {replica} KV cache", process, float(end_s), used=round(float(used), 4))
        yield _counter(f"replica {replica} batch", process, float(end_s), requests=float(batch))
