"""What the engines of a service did on average: KV, batch, how busy, how well used, what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clustersim.workloads.inference.measures.served import ReplicaRecord, Served
from clustersim.workloads.inference.measures.step_work import row_work

__all__ = ["engine_metrics", "price_metrics"]


@dataclass
class _Sums:
    """Sums over the rows of one replica, or of all; a row counts with the part that lies inside."""

    busy_s: float = 0.0
    kv_s: float = 0.0
    highest: float = 0.0
    steps: float = 0.0
    batch_steps: float = 0.0
    flops: float = 0.0
    moved: float = 0.0
    peak_flops: float = 0.0
    peak_moved: float = 0.0

    def add(self, other: _Sums) -> None:
        """Add those of another replica."""
        highest = max(self.highest, other.highest)
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.highest = highest


def engine_metrics(served: Served) -> dict[str, float]:
    """Return means over the time from the end of the warm-up to the last step."""
    span_s = _span_s(served)
    total = _Sums()
    for replica in served.replicas:
        total.add(_sums(replica, served.counted_from_s))
    if span_s <= 0.0 or total.steps <= 0.0:
        return {}
    whole_s = span_s * len(served.replicas)
    found = {
        "kv_occupancy.mean": total.kv_s / whole_s,
        "kv_occupancy.max": total.highest,
        "batch.mean": total.batch_steps / total.steps,
        "utilization": min(1.0, total.busy_s / whole_s),
    }
    if all(replica.cost for replica in served.replicas):
        found["mfu"] = total.flops / (span_s * total.peak_flops)
        found["mbu"] = total.moved / (span_s * total.peak_moved)
    return found


def price_metrics(served: Served, rates: Mapping[str, float]) -> dict[str, float]:
    """Return power and money, per second and per token; what nobody has a price of is left out.

    Parameters
    ----------
    rates
        Metrics with `output_tokens_per_s`, `input_tokens_per_s` and `requests_per_s`.
    """
    watts = [_power_w(served, replica) for replica in served.replicas]
    prices = [_usd_per_s(served, replica) for replica in served.replicas]
    found: dict[str, float] = {}
    output_per_s = rates.get("output_tokens_per_s", 0.0)
    if watts and None not in watts:
        found["power_w"] = sum(power or 0.0 for power in watts)
        if output_per_s:
            found["joules_per_output_token"] = found["power_w"] / output_per_s
    if prices and None not in prices:
        usd_per_s = sum(price or 0.0 for price in prices)
        found["price_usd_per_h"] = usd_per_s * 3600.0
        if output_per_s:
            found["usd_per_million_output_tokens"] = 1e6 * usd_per_s / output_per_s
            found["usd_per_million_tokens"] = 1e6 * usd_per_s / (output_per_s + rates["input_tokens_per_s"])
            found["usd_per_million_requests"] = 1e6 * usd_per_s / rates["requests_per_s"]
    return found


def _span_s(served: Served) -> float:
    since_s = served.counted_from_s
    return max((log.end_of(len(log) - 1) for log in served.logs if len(log)), default=since_s) - since_s


def _sums(replica: ReplicaRecord, since_s: float) -> _Sums:
    log = replica.log
    start_s, end_s = log.column("start_s"), log.column("end_s")
    inside_s = np.clip(end_s - np.maximum(start_s, since_s), 0.0, None)
    inside = np.divide(inside_s, end_s - start_s, out=np.zeros(len(log)), where=end_s > start_s)
    blocks = log.column("kv_start_blocks") + log.column("kv_end_blocks")
    steps = inside * log.column("steps")
    sums = _Sums(
        busy_s=float(inside_s.sum()),
        kv_s=float((inside_s * blocks).sum()) / (2.0 * replica.kv_blocks),
        highest=float(log.column("kv_end_blocks")[inside_s > 0.0].max(initial=0)) / replica.kv_blocks,
        steps=float(steps.sum()),
        batch_steps=float((steps * log.column("batch")).sum()),
    )
    if replica.cost is not None:
        flops, moved = row_work(log, replica.cost)
        sums.flops, sums.moved = float((inside * flops).sum()), float((inside * moved).sum())
        sums.peak_flops, sums.peak_moved = replica.cost.peak_flops, replica.cost.peak_bytes_per_s
    return sums


def _held(served: Served, replica: ReplicaRecord) -> float:
    """GPUs that a replica held, on average."""
    since_s = served.now_s - served.start_s
    if replica.gpu_seconds is None or since_s <= 0.0:
        return float(replica.gpus)
    return replica.gpu_seconds / since_s


def _power_w(served: Served, replica: ReplicaRecord) -> float | None:
    if replica.running is None:
        return None
    span_s, gpus = _span_s(served), _held(served, replica)
    if span_s <= 0.0 or gpus <= 0.0:
        return 0.0
    busy = _sums(replica, served.counted_from_s).busy_s / span_s * replica.gpus / gpus
    return replica.running.power_w(gpus, min(1.0, busy))


def _usd_per_s(served: Served, replica: ReplicaRecord) -> float | None:
    return None if replica.running is None else replica.running.usd_per_s(_held(served, replica))
