"""From a row of ranking-service measurements to a service that is simulated, and what it measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from clustersim.study.validation.ranking.serving_row import RankingServingRow

if TYPE_CHECKING:
    from clustersim.spec.ranking.inference import RankingInferenceSpec
    from clustersim.topology import Topology
    from clustersim.workloads.base import Outcome

__all__ = ["service_of", "simulate"]

_AT_ONCE_PER_S = 1e9
_SATURATED_BATCHES = 40
"""Full batches of a saturated run; its rate is taken between the first and the last quarter."""
_POISSON_QUERIES = 40_000
_WARMUP_QUERIES = 4_000
_CLIENT_QUERIES = 200
_ROOM_OF_TABLES = 0.8
"""Share of device memory for tables of which a row does not say how much of them the device holds."""
_MEAN_CANDIDATES = 270.0
_DEFAULT_BATCH = 8192


def simulate(row: RankingServingRow) -> dict[str, float]:
    """Return what the service of a row measures, by the names of `serving_row.METRICS`.

    GPUs are replicas that share nothing but the router: one is simulated with its share of the load, and
    rates are those of all.

    Raises
    ------
    ClusterSimError
        If the catalogue lacks something or the service cannot run.
    """
    if row.saturation is not None:
        return simulate(_at_saturation(row))
    outcome = _run(replace(row, gpus=1, rate_per_s=row.rate_per_s and row.rate_per_s / row.gpus))
    return _measured(row, outcome)


def _at_saturation(row: RankingServingRow) -> RankingServingRow:
    """Return the row with its share of the saturated rate as a rate."""
    assert row.saturation is not None
    full = replace(
        row,
        saturation=None,
        saturated="yes",
        max_samples=row.saturated_max_samples or row.max_samples,
        inputs=row.inputs if row.inputs == "device" else "contiguous",
    )
    rate_per_s = row.saturation * _saturated_per_s(full)
    return replace(row, saturation=None, rate_per_s=rate_per_s)


@lru_cache(maxsize=256)
def _saturated_per_s(row: RankingServingRow) -> float:
    return simulate(replace(row, id="", table="", notes=""))["queries_per_s"]


def _run(row: RankingServingRow) -> Outcome:
    from clustersim.engine.world import World
    from clustersim.workloads import create

    topology = _topology(row.gpu, row.system)
    spec = service_of(row, topology)
    world = World(topology, keep_trace=False)
    workload = create(spec, topology=topology, gpus=topology.gpus[:1])
    world.undisturbed = True
    world.env.run(until=workload.start(world))
    return workload.outcome()


@lru_cache(maxsize=64)
def _topology(gpu: str, system: str) -> Topology:
    from clustersim.catalog.hardware import understand
    from clustersim.study.validation.training.cluster import topology_of

    return topology_of(understand(gpu=gpu, nodes=1, gpus_per_node=1, system=system))


def service_of(row: RankingServingRow, topology: Topology) -> RankingInferenceSpec:
    """Return the service that a row describes, on the first GPU of a topology.

    Raises
    ------
    InputError
        For what the row contradicts itself in, or what is not known.
    """
    from clustersim.spec.ranking.inference import RankingInferenceSpec

    precision = _precision(row.precision, topology)
    fields: dict[str, Any] = {
        "kind": "ranking-inference",
        "name": "service",
        "model": row.model,
        "precision": precision,
        "interaction_precision": row.interaction,
        "embeddings": _embeddings(row, topology),
        "engine": row.engine,
        "instances": row.instances,
        "batching": _given(max_samples=row.max_samples),
        "candidates": _candidates(row),
        **_inputs(row),
        **_load(row),
    }
    return RankingInferenceSpec.model_validate(
        {name: value for name, value in fields.items() if value not in (None, {})}
    )


def _precision(said: str, topology: Topology) -> str:
    """TensorRT multiplies fp32 numbers in tf32 where the device can."""
    peaks = topology.accelerator(topology.gpus[0]).peak_flops
    return "tf32" if said == "fp32" and "tf32" in peaks else said


def _embeddings(row: RankingServingRow, topology: Topology) -> dict[str, Any]:
    if row.device_share is not None:
        hit_rate = 1.0 if row.warm else None
        return {
            "kind": "cached",
            "precision": row.embeddings,
            "fraction": row.device_share,
            **_given(hit_rate=hit_rate),
        }
    if row.device_memory is not None:
        return _smallest_tables(row, row.device_memory * topology.memory_bytes(topology.gpus[0]))
    return _as_much_as_fits(row, _ROOM_OF_TABLES * topology.memory_bytes(topology.gpus[0]))


def _as_much_as_fits(row: RankingServingRow, room_bytes: float) -> dict[str, Any]:
    """Return all rows in device memory, or the hottest of them where there is no room for all."""
    from clustersim import catalog

    table_bytes = catalog.ranking_model(row.model).embedding_bytes(row.embeddings)
    if table_bytes <= room_bytes:
        return {"kind": "local", "precision": row.embeddings}
    return {"kind": "cached", "precision": row.embeddings, "fraction": room_bytes / table_bytes}


def _smallest_tables(row: RankingServingRow, room_bytes: float) -> dict[str, Any]:
    """Return tables in device memory from the smallest on, as many as there is room for."""
    from clustersim import catalog

    tables = sorted(catalog.ranking_model(row.model).tables, key=lambda table: table.rows)
    held_bytes = np.cumsum([table.rows * table.row_bytes(row.embeddings) for table in tables])
    held = int(np.searchsorted(held_bytes, room_bytes, side="right"))
    if held == len(tables):
        return {"kind": "local", "precision": row.embeddings}
    lookups = [table.pooling for table in tables]
    return {
        "kind": "cached",
        "precision": row.embeddings,
        "fraction": float(max(held_bytes[held - 1], 1.0) / held_bytes[-1]),
        "hit_rate": sum(lookups[:held]) / sum(lookups),
    }


def _candidates(row: RankingServingRow) -> dict[str, Any]:
    if row.samples is not None:
        return {"kind": "fixed", "samples": row.samples}
    return {"kind": "quantiles", "table": row.candidates}


def _inputs(row: RankingServingRow) -> dict[str, Any]:
    if row.inputs == "host":
        return {}
    return {"inputs": "device" if row.inputs == "device" else "host", "overheads": {"sample": "0 s"}}


def _load(row: RankingServingRow) -> dict[str, Any]:
    if row.saturated:
        samples = row.samples or _MEAN_CANDIDATES
        queries = _SATURATED_BATCHES * (row.max_samples or _DEFAULT_BATCH) / samples
        return {
            "arrivals": {"kind": "fixed", "rate": f"{_AT_ONCE_PER_S:.0f}/s"},
            "queries": max(2 * _SATURATED_BATCHES, round(queries)),
        }
    if row.concurrency is not None:
        return {
            "arrivals": {"kind": "closed-loop", "clients": row.concurrency},
            "queries": _CLIENT_QUERIES * row.concurrency,
        }
    assert row.rate_per_s is not None
    return {
        "arrivals": {"kind": "poisson", "rate": f"{row.rate_per_s!r}/s"},
        "queries": _POISSON_QUERIES + _WARMUP_QUERIES,
        "warmup": f"{_WARMUP_QUERIES / row.rate_per_s!r} s",
    }


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _measured(row: RankingServingRow, outcome: Outcome) -> dict[str, float]:
    names = {
        "queries_per_s": "queries_per_s",
        "samples_per_s": "samples_per_s",
        "latency_s": "latency_s.mean",
    }
    names |= {f"latency_{part}_s": f"latency_s.{part}" for part in ("p50", "p90", "p95", "p99")}
    found = {name: outcome.metrics.get(metric, np.nan) for name, metric in names.items()}
    if row.saturated:
        found["queries_per_s"] = _steady_per_s(outcome.tables["queries"])
    return {
        name: value * (row.gpus if name.endswith("_per_s") else 1)
        for name, value in found.items()
        if np.isfinite(value)
    }


def _steady_per_s(queries: Mapping[str, np.ndarray]) -> float:
    """Queries per second between the end of the first and of the third quarter of a saturated run."""
    finish_s = np.sort(queries["finish_s"])
    first_s, last_s = finish_s[len(finish_s) // 4], finish_s[3 * len(finish_s) // 4]
    if last_s <= first_s:
        return float(len(finish_s) / finish_s[-1])
    return float(np.count_nonzero((finish_s > first_s) & (finish_s <= last_s)) / (last_s - first_s))
