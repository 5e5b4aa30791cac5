"""Tables of an inference service: requests, steps, what happened to replicas, times between tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.workloads.base import Table
from clustersim.workloads.inference.cache.usage import usage_table
from clustersim.workloads.inference.fleet.fleet_log import FleetLog
from clustersim.workloads.inference.measures.attribution import request_shares
from clustersim.workloads.inference.measures.inter_token import inter_token_times
from clustersim.workloads.inference.measures.kv_transfers import kv_transfer_table
from clustersim.workloads.inference.measures.progressions import Progressions
from clustersim.workloads.inference.measures.served import ReplicaRecord, Served
from clustersim.workloads.inference.measures.statistics import Statistic, statistics_table
from clustersim.workloads.inference.measures.step_work import row_work
from clustersim.workloads.inference.replica.step_log import StepLog

__all__ = ["request_table", "service_tables", "step_table"]

_MOST_STEP_ROWS = 200_000
_POINTS = 100


def service_tables(served: Served, requests: Table, statistics: Sequence[Statistic]) -> dict[str, Table]:
    """Return all tables; that of the fleet only where a replica started, stopped or failed, that of KV
    caches only where prefixes are kept."""
    tables = {
        "requests": requests,
        "steps": step_table(served),
        "statistics": statistics_table(statistics),
        "inter_token": _inter_token_table(served),
    }
    if served.fleet is not None and served.fleet.events:
        tables["fleet"] = _fleet_table(served.fleet)
    transfers = kv_transfer_table(served.requests)
    if len(transfers["request"]):
        tables["kv_transfers"] = transfers
    if served.caches:
        tables["kv_cache"] = usage_table(served.caches)
    return tables


def request_table(served: Served) -> dict[str, np.ndarray]:
    """Return one row per request that was sent; see `columns.REQUEST_COLUMNS`."""
    columns = served.columns
    output, e2e_s = columns.output, columns.finish_s - columns.arrival_s
    decoding_s = columns.finish_s - columns.first_token_s
    table = {
        "request": columns.index,
        "replica": columns.replica,
        "counted": columns.arrival_s >= served.counted_from_s,
        "arrival_s": columns.arrival_s,
        "prompt_tokens": columns.prompt,
        "output_tokens": output,
        "cached_tokens": columns.cached,
        "admitted_s": columns.admitted_s,
        "first_token_s": columns.first_token_s,
        "finish_s": columns.finish_s,
        "queue_s": columns.admitted_s - columns.arrival_s,
        "ttft_s": columns.first_token_s - columns.arrival_s,
        "tpot_s": np.where(output > 1, decoding_s / np.maximum(output - 1, 1), np.nan),
        "e2e_s": e2e_s,
        "normalized_s": e2e_s / output,
        "preemptions": columns.preemptions,
        "trace_row": columns.last_activity,
    }
    if served.tenants:
        names = np.array([tenant.name for tenant in served.tenants], dtype=str)
        table["tenant"] = names[columns.tenant]
    shares = request_shares(served.requests, columns, served.logs)
    return table | {f"{name}_share": column for name, column in shares.items()}


def step_table(served: Served) -> Table:
    """Return the engines' steps in order of time, at most 200,000 rows (then evenly thinned)."""
    parts: dict[str, list[np.ndarray]] = {}
    replicas = served.replicas or [ReplicaRecord(StepLog(), 1)]
    for number, (replica, rows) in enumerate(zip(replicas, _kept_rows(replicas), strict=True)):
        for name, column in _steps(number, replica).items():
            parts.setdefault(name, []).append(column[rows])
    if not all(replica.cost for replica in served.replicas):
        parts = {name: column for name, column in parts.items() if name not in ("mfu", "mbu")}
    table = {name: np.concatenate(columns) for name, columns in parts.items()}
    order = np.argsort(table["start_s"], kind="stable")
    return {name: column[order] for name, column in table.items()}


def _kept_rows(replicas: Sequence[ReplicaRecord]) -> list[np.ndarray]:
    """Rows of each log that stay, in ascending order: of all in order of time, evenly chosen ones."""
    start_s = np.concatenate([replica.log.column("start_s") for replica in replicas])
    stride = -(-len(start_s) // _MOST_STEP_ROWS) or 1
    kept = np.sort(np.argsort(start_s, kind="stable")[::stride])
    begins = np.cumsum([0, *(len(replica.log) for replica in replicas)])
    places = np.searchsorted(kept, begins)
    return [
        kept[first:end] - begin for first, end, begin in zip(places, places[1:], begins[:-1], strict=False)
    ]


def _steps(number: int, replica: ReplicaRecord) -> dict[str, np.ndarray]:
    log = replica.log
    start_s, end_s = log.column("start_s"), log.column("end_s")
    table = {
        "replica": np.full(len(log), number),
        "start_s": start_s,
        "end_s": end_s,
        "steps": log.column("steps"),
        "batch": log.column("batch"),
        "decodes": log.column("decodes"),
        "tokens": log.column("tokens"),
        "kv_used_fraction": log.column("kv_end_blocks") / replica.kv_blocks,
        "queue_length": log.column("queued"),
    }
    if replica.cost is None:
        return table
    flops, moved = row_work(log, replica.cost)
    seconds = np.maximum(end_s - start_s, 1e-12)
    table["mfu"] = flops / (seconds * replica.cost.peak_flops)
    table["mbu"] = moved / (seconds * replica.cost.peak_bytes_per_s)
    return table


def _inter_token_table(served: Served) -> dict[str, np.ndarray]:
    """Return the distribution of times between tokens of the requests that count, at up to 200 times."""
    counted = served.columns.arrival_s >= served.counted_from_s
    gaps = inter_token_times(served.columns, served.logs, counted)
    if not gaps.total:
        return {"itl_s": np.empty(0), "share": np.empty(0)}
    least, most = max(gaps.least, 1e-9), gaps.largest
    times_s = np.append(np.geomspace(least, max(most, least), _POINTS)[:-1], most)
    share = _shares(gaps, times_s)
    # Where many values are close together, as many points again by share.
    between_s = np.interp(np.linspace(share[0], 1.0, _POINTS), share, times_s)
    times_s = np.unique(np.concatenate([times_s, between_s]))
    return {"itl_s": times_s, "share": _shares(gaps, times_s)}


def _shares(gaps: Progressions, times_s: np.ndarray) -> np.ndarray:
    """Share of the values that are at most each time."""
    return np.array([gaps.at_most(time_s) for time_s in times_s.tolist()]) / gaps.total


def _fleet_table(log: FleetLog) -> dict[str, np.ndarray]:
    """Return one row per change of a replica, in order of time; see `columns.FLEET_COLUMNS`."""
    events: Sequence[tuple[float, str, int]] = log.events
    return {
        "time_s": np.array([time_s for time_s, _, _ in events], dtype=float),
        "event": np.array([kind for _, kind, _ in events], dtype=str),
        "replica": np.array([replica for _, _, replica in events], dtype=np.int64),
    }
