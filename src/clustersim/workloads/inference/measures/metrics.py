"""Metrics and tables of an inference service, from its requests and step logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.spec.inference import SloSpec
from clustersim.workloads.base import Table
from clustersim.workloads.inference.measures.attribution import request_shares
from clustersim.workloads.inference.replica.step_log import StepLog
from clustersim.workloads.inference.requests import Request

__all__ = ["Served", "growing_queue_note", "metrics", "nothing_counted_note", "request_table", "step_table"]

_PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9}
_MOST_STEP_ROWS = 200_000


@dataclass(frozen=True)
class Served:
    """What a service did until now.

    Parameters
    ----------
    requests
        All that were sent, in order.
    logs, kv_blocks
        Step log and KV blocks of each replica.
    start_s, now_s
        When the service opened, and the time of looking.
    warmup_s
        Requests that arrived earlier than this after the start are not counted, and rates and
        the engines' means are over the time from then on.
    slo
        Objectives.
    """

    requests: Sequence[Request]
    logs: Sequence[StepLog]
    kv_blocks: Sequence[int]
    start_s: float
    now_s: float
    warmup_s: float
    slo: SloSpec

    @property
    def counted_from_s(self) -> float:
        """The end of the warm-up."""
        return self.start_s + self.warmup_s


def request_table(served: Served) -> dict[str, np.ndarray]:
    """Return one row per request that was sent; see `columns.REQUEST_COLUMNS`."""
    requests = served.requests
    arrival_s = np.array([request.arrival_s for request in requests], dtype=float)
    admitted_s = np.array([request.admitted_s for request in requests], dtype=float)
    first_token_s = np.array([request.first_token_s for request in requests], dtype=float)
    finish_s = np.array([request.finish_s for request in requests], dtype=float)
    output = np.array([request.output for request in requests], dtype=np.int64)
    table = {
        "request": np.array([request.index for request in requests], dtype=np.int64),
        "replica": np.array([request.replica for request in requests], dtype=np.int64),
        "counted": arrival_s >= served.counted_from_s,
        "arrival_s": arrival_s,
        "prompt_tokens": np.array([request.prompt for request in requests], dtype=np.int64),
        "output_tokens": output,
        "admitted_s": admitted_s,
        "first_token_s": first_token_s,
        "finish_s": finish_s,
        "queue_s": admitted_s - arrival_s,
        "ttft_s": first_token_s - arrival_s,
        "tpot_s": np.where(output > 1, (finish_s - first_token_s) / np.maximum(output - 1, 1), np.nan),
        "e2e_s": finish_s - arrival_s,
        "preemptions": np.array([request.preemptions for request in requests], dtype=np.int64),
        "trace_row": np.array([request.last_activity for request in requests], dtype=np.int64),
    }
    shares = request_shares(requests, served.logs)
    return table | {f"{name}_share": column for name, column in shares.items()}


def step_table(served: Served) -> Table:
    """Return the engines' steps in order of time, at most 200,000 rows (then evenly thinned)."""
    parts: dict[str, list[np.ndarray]] = {}
    replicas = list(zip(served.logs, served.kv_blocks, strict=True)) or [(StepLog(), 1)]
    for replica, (log, blocks) in enumerate(replicas):
        columns = {
            "replica": np.full(len(log), replica),
            "start_s": log.column("start_s"),
            "end_s": log.column("end_s"),
            "steps": log.column("steps"),
            "batch": log.column("batch"),
            "tokens": log.column("tokens"),
            "kv_used_fraction": log.column("kv_end_blocks") / blocks,
            "queue_length": log.column("queued"),
        }
        for name, column in columns.items():
            parts.setdefault(name, []).append(column)
    table = {name: np.concatenate(columns) for name, columns in parts.items()}
    order = np.argsort(table["start_s"], kind="stable")
    stride = -(-len(order) // _MOST_STEP_ROWS) or 1
    return {name: column[order[::stride]] for name, column in table.items()}


def metrics(served: Served, table: Table) -> dict[str, float]:
    """Return the flat metrics; see `columns.METRICS`. What cannot be computed is left out."""
    counted = np.asarray(table["counted"], dtype=bool)
    finished = counted & np.isfinite(table["finish_s"])
    values: dict[str, float] = {
        "requests_sent": float(counted.sum()),
        "requests_finished": float(finished.sum()),
        "requests_unfinished": float(counted.sum() - finished.sum()),
        "preemptions": float(table["preemptions"][counted].sum()),
    }
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        values |= _statistics(name, table[name][finished])
    values |= _mean("queue_s", table["queue_s"][finished])
    values |= _throughput(served, table, finished)
    values |= _slo_attainment(served, table, counted)
    return values | _engine_metrics(served)


def _statistics(name: str, column: np.ndarray) -> dict[str, float]:
    column = column[np.isfinite(column)]
    if not len(column):
        return {}
    percentiles = np.percentile(column, list(_PERCENTILES.values())).tolist()
    return _mean(name, column) | {
        f"{name}.{label}": value for label, value in zip(_PERCENTILES, percentiles, strict=True)
    }


def _mean(name: str, column: np.ndarray) -> dict[str, float]:
    return {f"{name}.mean": float(column.mean())} if len(column) else {}


def _throughput(served: Served, table: Table, finished: np.ndarray) -> dict[str, float]:
    """Rates from the end of the warm-up to the last answer (to now, where some are unfinished).

    All answers in that time count, those to requests of the warm-up included: where these are
    many, the engines work for them first, and leaving them out would understate the rate.
    """
    if not finished.any():
        return {}
    complete = len(finished) == np.isfinite(table["finish_s"]).sum()
    end_s = float(table["finish_s"][finished].max()) if complete else served.now_s
    span_s = end_s - served.counted_from_s
    if span_s <= 0.0:
        return {}
    answered = table["finish_s"] > served.counted_from_s
    return {
        "requests_per_s": float(answered.sum()) / span_s,
        "input_tokens_per_s": float(table["prompt_tokens"][answered].sum()) / span_s,
        "output_tokens_per_s": float(table["output_tokens"][answered].sum()) / span_s,
    }


def _slo_attainment(served: Served, table: Table, counted: np.ndarray) -> dict[str, float]:
    """Share of requests that kept every objective, among those of which that is known: finished
    ones, and unfinished ones that have already broken one."""
    objectives = [
        (name, limit_s)
        for name, limit_s in (
            ("ttft_s", served.slo.ttft),
            ("tpot_s", served.slo.tpot),
            ("e2e_s", served.slo.e2e),
        )
        if limit_s is not None
    ]
    finished = np.isfinite(table["finish_s"])
    missed = np.zeros(len(finished), dtype=bool)
    for name, limit_s in objectives:
        so_far = np.where(finished, 0.0, served.now_s - table["arrival_s"]) if name != "tpot_s" else 0.0
        value = np.where(np.isfinite(table[name]), table[name], so_far)
        missed |= value > limit_s
    known = counted & (finished | missed)
    if not objectives or not known.any():
        return {}
    return {"slo_attainment": 1.0 - float(missed[known].mean())}


def _engine_metrics(served: Served) -> dict[str, float]:
    """Means over the time from the end of the warm-up to the last step; a row that began before
    counts with the part that lies in it."""
    since_s = served.counted_from_s
    busy_s = kv_s = steps = batch_steps = highest = 0.0
    for log, blocks in zip(served.logs, served.kv_blocks, strict=True):
        start_s, end_s = log.column("start_s"), log.column("end_s")
        inside_s = np.clip(end_s - np.maximum(start_s, since_s), 0.0, None)
        inside = np.divide(inside_s, end_s - start_s, out=np.zeros(len(log)), where=end_s > start_s)
        occupied = (log.column("kv_start_blocks") + log.column("kv_end_blocks")) / (2.0 * blocks)
        busy_s += float(inside_s.sum())
        kv_s += float((inside_s * occupied).sum())
        highest = max(highest, float(log.column("kv_end_blocks")[inside_s > 0.0].max(initial=0)) / blocks)
        steps += float((inside * log.column("steps")).sum())
        batch_steps += float((inside * log.column("steps") * log.column("batch")).sum())
    last_s = max((log.end_s[-1] for log in served.logs if len(log)), default=since_s)
    span_s = (last_s - since_s) * len(served.logs)
    if span_s <= 0.0 or steps <= 0.0:
        return {}
    return {
        "kv_occupancy.mean": kv_s / span_s,
        "kv_occupancy.max": highest,
        "batch.mean": batch_steps / steps,
        "utilization": busy_s / span_s,
    }


def nothing_counted_note(table: Table, *, all_sent: bool) -> str | None:
    """Return why there are no latencies where the service is open no more and counted nobody."""
    if not all_sent or table["counted"].any():
        return None
    sent = len(table["counted"])
    if sent:
        return f"all {sent} requests arrived during the warm-up; none is counted"
    return "no request was sent: none arrived before the service closed"


def growing_queue_note(table: Table) -> str | None:
    """Return a warning where the service falls behind: in the second half of the time in which
    requests arrived, clearly fewer were finished than arrived."""
    arrival_s = table["arrival_s"]
    if len(arrival_s) < 2:
        return None
    half_s, last_s = (arrival_s[0] + arrival_s[-1]) / 2.0, arrival_s[-1]
    arrived = int((arrival_s > half_s).sum())
    finish_s = table["finish_s"]
    answered = int(((finish_s > half_s) & (finish_s <= last_s)).sum())
    if arrived - answered <= 0.1 * arrived + 3.0 * arrived**0.5:
        return None
    return (
        f"the queue grows: in the second half of the time in which requests arrived, {arrived} arrived and "
        f"{answered} were answered; waiting times depend on how long the run is"
    )
