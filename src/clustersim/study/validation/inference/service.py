"""From a row of serving measurements to a service that is simulated, and what it measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from clustersim.errors import CannotRunError, InputError
from clustersim.study.validation.inference.row import ServingRow

if TYPE_CHECKING:
    from clustersim.catalog.hardware import Hardware
    from clustersim.spec.inference import InferenceSpec
    from clustersim.workloads.base import Outcome

__all__ = ["AT_ONCE", "service_of", "simulate"]

AT_ONCE = "at_once"
"""1 where all requests of a batch ran together, else 0; beside the metrics of `simulate`."""

_NAME = "service"
_AT_ONCE_PER_S = 1e9
_OFFLINE_WAVES = 4
"""A batch of more requests than this many times those that run at once is cut: its rate is steady by then."""
_SERVED_S = 600.0
_WARMUP_S = 200.0
"""Length of open loads without a number of requests, and what is left out at their beginning."""
_MOST_REPLICAS = 4
"""Of more replicas, which share no link, so many are simulated, with their share of the load."""
_REQUESTS_PER_CLIENT = 12
_TENSOR_SIZES = (1, 2, 4, 8)


def simulate(row: ServingRow) -> dict[str, float]:
    """Return what the service of a row measures, by the names of `row.METRICS`, and `AT_ONCE`.

    Raises
    ------
    ClusterSimError
        If the catalogue lacks something or the service cannot run.
    """
    if row.tensor is not None:
        return _simulate(row)
    sizes = [size for size in _TENSOR_SIZES if size * row.pipeline * row.data <= row.gpus]
    for size in sizes[:-1]:
        try:
            return _simulate(replace(row, tensor=size))
        except CannotRunError:  # does not fit, or does not divide
            continue
    return _simulate(replace(row, tensor=sizes[-1]))


def _simulate(row: ServingRow) -> dict[str, float]:
    most = 1 if row.batch is not None else _MOST_REPLICAS
    if row.replicas > most and row.concurrency is None:
        part = most / row.replicas
        found = _simulate(_part(row, part))
        return {name: value / part if name.endswith("_per_s") else value for name, value in found.items()}
    from clustersim.engine.world import World
    from clustersim.study.validation.training.cluster import topology_of
    from clustersim.workloads.inference import InferenceWorkload

    spec = service_of(row)
    topology = topology_of(_hardware(row))
    world = World(topology, keep_trace=False)
    gpus = topology.gpus[: row.gpus]
    workload = InferenceWorkload(spec, topology=topology, gpus=gpus)
    world.undisturbed = True
    world.env.run(until=workload.start(world))
    return _measured(row, workload.outcome())


def _part(row: ServingRow, part: float) -> ServingRow:
    """Return a row with this part of the GPUs and of the load."""
    return replace(
        row,
        gpus=round(row.gpus * part),
        batch=None if row.batch is None else max(1, round(row.batch * part)),
        rate_per_s=None if row.rate_per_s is None else row.rate_per_s * part,
        requests=None if row.requests is None else max(1, round(row.requests * part)),
    )


def service_of(row: ServingRow) -> InferenceSpec:
    """Return the service that a row describes.

    Raises
    ------
    InputError
        For what the row contradicts itself in, or what is not known.
    """
    from clustersim.spec.inference import InferenceSpec

    fields: dict[str, Any] = {
        "kind": "inference",
        "name": _NAME,
        "model": row.model,
        "replicas": row.replicas,
        "parallelism": _layout(row),
        "routing": "least-outstanding",
        "scheduler": _scheduler(row),
        "lengths": _lengths(row),
        "engine": row.engine,
        "precision": row.precision,
        "techniques": _given(weights=row.weights, activations=row.activations),
        "kv_cache": _given(precision=row.kv_cache),
        **_load(row),
    }
    return InferenceSpec.model_validate(
        {name: value for name, value in fields.items() if value not in (None, {})}
    )


def _layout(row: ServingRow) -> dict[str, int]:
    sizes = {"tensor": row.tensor or 1, "pipeline": row.pipeline, "expert": row.expert, "data": row.data}
    return {name: size for name, size in sizes.items() if size > 1}


def _scheduler(row: ServingRow) -> dict[str, Any]:
    return _given(
        policy=row.policy,
        max_batch=row.max_batch or 256,
        max_batched_tokens=row.max_batched_tokens,
        memory_utilization=row.memory_utilization,
    )


def _lengths(row: ServingRow) -> dict[str, Any]:
    if row.lengths is None:
        return {"prompt": row.prompt, "output": row.output}
    scale = row.output_scale if row.output_scale != 1.0 else None
    return _given(table=row.lengths, output_scale=scale)


def _load(row: ServingRow) -> dict[str, Any]:
    if row.batch is not None:
        most = _OFFLINE_WAVES * row.replicas * (row.max_batch or 256)
        return {
            "arrivals": {"kind": "fixed", "rate": f"{_AT_ONCE_PER_S:.0f}/s"},
            "requests": min(row.batch, most),
        }
    if row.concurrency is not None:
        return {
            "arrivals": {"kind": "closed-loop", "clients": row.concurrency},
            "requests": row.requests or _REQUESTS_PER_CLIENT * row.concurrency,
        }
    arrivals = {"kind": "poisson", "rate": f"{row.rate_per_s!r}/s"}
    if row.requests is not None:
        return {"arrivals": arrivals, "requests": row.requests}
    return {"arrivals": arrivals, "duration": f"{_SERVED_S} s", "warmup": f"{_WARMUP_S} s"}


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _hardware(row: ServingRow) -> Hardware:
    """Return nodes that hold the row's GPUs; replicas stay within nodes where they fit."""
    from clustersim.catalog.hardware import understand

    one = understand(gpu=row.gpu, nodes=1, gpus_per_node=min(row.gpus, 8), system=row.system)
    nodes, rest = divmod(row.gpus, one.gpus_per_node)
    if not rest and nodes == 1:
        return one
    if rest:
        raise InputError(f"{row.gpus} GPUs do not fill nodes of {one.gpus_per_node}")
    from clustersim import catalog

    return replace(one, nodes=nodes, link=catalog.link(one.node.nic_link))


def _measured(row: ServingRow, outcome: Outcome) -> dict[str, float]:
    """Return the row's metrics; rates of a batch are those between its ends, where it is full."""
    found: dict[str, float] = {}
    table = outcome.tables["requests"]
    found[AT_ONCE] = float(_at_once(table))
    for name in row.measured:
        found[name] = _metric(name, outcome.metrics, table, row)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _at_once(table: Mapping[str, np.ndarray]) -> bool:
    """Whether all requests ran together, none after another's end and none twice."""
    waited = np.max(table["admitted_s"]) >= np.min(table["finish_s"])
    return not waited and not table["preemptions"].any()


def _metric(
    name: str, metrics: Mapping[str, float], table: Mapping[str, np.ndarray], row: ServingRow
) -> float:
    if name == "first_tokens_s":
        return float(np.max(table["first_token_s"] - table["arrival_s"]))
    if name == "output_tokens_per_s":
        return _steady_rate(table)
    if name == "requests_per_s":
        return metrics.get(name, np.nan)
    base, _, percentile = name.removesuffix("_s").partition("_")
    return metrics.get(f"{base}_s.{percentile or 'mean'}", np.nan)


def _steady_rate(table: Mapping[str, np.ndarray]) -> float:
    """Tokens per second while the batch is full: of the answers that end in the middle half of the time.

    A long offline run has a short ramp and tail; the simulated one is cut, so they are left out.
    """
    finish_s = np.sort(table["finish_s"])
    order = np.argsort(table["finish_s"])
    tokens = np.cumsum(table["output_tokens"][order])
    first, last = len(finish_s) // 4, min(3 * len(finish_s) // 4, len(finish_s) - 1)
    if finish_s[last] <= finish_s[first]:
        return float(tokens[-1] / finish_s[-1])
    return float((tokens[last] - tokens[first]) / (finish_s[last] - finish_s[first]))
