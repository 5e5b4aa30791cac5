"""Predict the step time of rows of ranking-model training, or say why one is not modelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from clustersim.errors import ClusterSimError, InputError
from clustersim.study.validation.ranking.result import RankingResult
from clustersim.study.validation.ranking.training_hardware import hardware_of
from clustersim.study.validation.ranking.training_job import framework_of, job_of
from clustersim.study.validation.ranking.training_model import model_of
from clustersim.study.validation.ranking.training_row import RankingTrainingRow, read_row

if TYPE_CHECKING:
    from clustersim.catalog.hardware import Hardware
    from clustersim.spec.ranking.training import RankingTrainingSpec
    from clustersim.workloads.base import Outcome

__all__ = ["predict_training_row", "predict_training_rows", "simulate"]

_STEP = "iteration_s.mean"
_GIB = 2.0**30


def simulate(spec: RankingTrainingSpec, hardware: Hardware) -> Outcome:
    """Return the outcome of a job alone on idle hardware.

    Raises
    ------
    ClusterSimError
        If it cannot run there.
    """
    from clustersim.engine.world import World
    from clustersim.study.validation.training.cluster import topology_of
    from clustersim.workloads.ranking.training.workload import RankingTrainingWorkload

    topology = topology_of(hardware)
    placed = [gpu for node in topology.gpus_by_node.values() for gpu in islice(node, hardware.gpus_per_node)]
    world = World(topology, keep_trace=False)
    workload = RankingTrainingWorkload(spec, topology=topology, gpus=tuple(placed[: spec.gpus]))
    world.undisturbed = True
    world.env.run(until=workload.start(world))
    return workload.outcome()


def predict_training_rows(rows: Sequence[Mapping[str, str]]) -> list[RankingResult]:
    """Predict each row in turn; rows of equal jobs are simulated once."""
    remembered: dict[tuple[str, str], Outcome] = {}
    return [predict_training_row(row, remembered) for row in rows]


def predict_training_row(
    cells: Mapping[str, str], remembered: dict[tuple[str, str], Outcome] | None = None
) -> RankingResult:
    """Predict the step time of one row, in seconds, or say why it is not modelled."""
    try:
        row = read_row(cells)
    except InputError as error:
        name, table = cells.get("row_id") or "", cells.get("table") or ""
        return RankingResult(name, table, "s", None, None, reason=str(error), table=table)
    known = _described(row)
    try:
        return _predicted(row, known, {} if remembered is None else remembered)
    except ClusterSimError as error:
        return replace(known, reason="; ".join(str(error).splitlines()))


def _described(row: RankingTrainingRow) -> RankingResult:
    return RankingResult(
        row.id,
        "training",
        "s",
        row.step_s,
        None,
        table=row.table,
        system=row.system,
        gpu=row.gpu,
        gpus=row.gpus,
        framework=row.framework,
        model=row.model,
        batch=row.global_batch,
        held_out=row.held_out,
        basis=row.basis,
    )


def _predicted(
    row: RankingTrainingRow, known: RankingResult, remembered: dict[tuple[str, str], Outcome]
) -> RankingResult:
    framework, model = framework_of(row), model_of(row.model)
    known = replace(known, framework=framework.name, model=model.name)
    hardware = hardware_of(row)
    known = replace(known, accelerator=hardware.node.accelerator)
    spec = job_of(row, hardware, framework)
    key = spec.model_dump_json(), f"{hardware.title}, {hardware.node.accelerator}"
    if key not in remembered:
        remembered[key] = simulate(spec, hardware)
    outcome = remembered[key]
    return replace(
        known,
        predicted=outcome.metrics[_STEP],
        precision=spec.precision,
        parts=dict(outcome.attribution),
        memory_gib=outcome.metrics["memory_bytes"] / _GIB,
        assumed=hardware.assumed,
    )
