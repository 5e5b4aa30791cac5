"""Predict a row: every job that it may have been, the fastest of those that fit counting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from clustersim import catalog
from clustersim.errors import ClusterSimError, InputError
from clustersim.study.validation.training.cluster import hardware_of, topology_of
from clustersim.study.validation.training.frameworks import Framework, framework_of
from clustersim.study.validation.training.jobs import candidates
from clustersim.study.validation.training.measured import iteration_time
from clustersim.study.validation.training.model import complete, model_of
from clustersim.study.validation.training.recipes import recipe_of
from clustersim.study.validation.training.result import PARTS, TrainingResult
from clustersim.study.validation.training.row import TrainingRow, read_row
from clustersim.study.validation.training.torus import Slice, over_all_links

if TYPE_CHECKING:
    from clustersim.catalog.hardware import Hardware
    from clustersim.catalog.models import TransformerModel
    from clustersim.spec.training import TrainingSpec

__all__ = ["Outcome", "predict_row", "simulate"]


@dataclass(frozen=True)
class Outcome:
    """What the simulator says about the best of some jobs.

    Parameters
    ----------
    spec
        Which one it was.
    iteration_s
        None where it does not fit and none was asked for.
    memory_bytes, capacity_bytes
        Needed on the fullest GPU, and there.
    parts
        Seconds of the iteration by cause.
    """

    spec: TrainingSpec
    iteration_s: float
    memory_bytes: float
    capacity_bytes: float
    parts: Mapping[str, float]


Simulator = Callable[["Sequence[TrainingSpec]", "TransformerModel", "Hardware"], Outcome]


def simulate(specs: Sequence[TrainingSpec], model: TransformerModel, hardware: Hardware) -> Outcome:
    """Return the fastest of the jobs that fit; where none fits, that which needs the least memory.

    Jobs are simulated in the order of their kernel time with an ideal pipeline; one that takes longer
    than the best so far even so is left out.

    Raises
    ------
    ClusterSimError
        If no job can be laid out.
    """
    from clustersim.workloads.training.job import TrainingJob, describe_job
    from clustersim.workloads.training.predict import predict

    topology = topology_of(hardware)
    members = topology.gpus_by_node.values()
    placed = [gpu for node in members for gpu in islice(node, hardware.gpus_per_node)]
    gpus = tuple(placed[: specs[0].gpus])
    jobs: list[TrainingJob] = []
    refused: list[ClusterSimError] = []
    for spec in specs:
        try:
            jobs.append(describe_job(spec, topology=topology, gpus=gpus, model=model, fits=False))
        except ClusterSimError as error:
            refused.append(error)
    if not jobs:
        raise refused[0]
    capacity_bytes = min(map(topology.memory_bytes, gpus))
    fitting = [job for job in jobs if job.memory_bytes <= capacity_bytes]
    fitting = fitting or [min(jobs, key=lambda job: job.memory_bytes)]
    best: Outcome | None = None
    for job in sorted(fitting, key=_ideal_s):
        if best is None or _ideal_s(job) < best.iteration_s:
            found = predict(job.spec, topology, gpus=gpus, job=job)
            if best is None or found.iteration_s < best.iteration_s:
                parts = {name: found.metrics[name] for name in PARTS}
                best = Outcome(job.spec, found.iteration_s, job.memory_bytes, capacity_bytes, parts)
    assert best is not None
    return best


def _ideal_s(job: object) -> float:
    """Kernel time with the bubble of an ideal pipeline."""
    from clustersim.workloads.training.job import TrainingJob

    assert isinstance(job, TrainingJob)
    layout = job.spec.parallelism
    return job.kernels_s * (1 + (layout.pipeline - 1) / (layout.virtual_stages * job.micro_batches))


def predict_row(cells: Mapping[str, str], *, simulator: Simulator = simulate) -> TrainingResult:
    """Predict the iteration time of a row, or say why it is not modelled."""
    name = cells.get("row_id", "")
    try:
        row = complete(read_row(cells))
    except InputError as error:
        return TrainingResult(name, cells.get("table", ""), "s", None, None, reason=str(error))
    known = _described(row)
    try:
        return _predicted(row, known, simulator)
    except ClusterSimError as error:
        return replace(known, reason="; ".join(str(error).splitlines()))


def _described(row: TrainingRow) -> TrainingResult:
    return TrainingResult(
        row.id,
        row.table,
        "s",
        None,
        None,
        note="",
        table=row.table,
        system=row.system,
        gpu=row.gpu,
        gpus=row.gpus,
        framework=row.framework,
        model=row.model,
        held_out=row.held_out,
        ran_out_of_memory=row.out_of_memory,
        observed_memory_bytes=None if row.memory_gb is None else row.memory_gb * 2.0**30,
    )


def _predicted(row: TrainingRow, known: TrainingResult, simulator: Simulator) -> TrainingResult:
    model = model_of(row)
    known = replace(known, experts=model.moe is not None)
    hardware = hardware_of(row)
    peak_flops = _peak_flops(row, hardware)
    measured = None if row.out_of_memory else iteration_time(row, model, peak_flops=peak_flops)
    if measured is not None:
        known = replace(known, measured=measured.seconds, basis=measured.basis)
    framework = _framework(row, hardware)
    known = replace(known, framework=framework.name)
    recipe = recipe_of(row.framework, row.model, row.gpu)
    jobs = [recipe.applied(job) if recipe else job for job in candidates(row, model, framework)]
    jobs = list(map(over_all_links, jobs)) if isinstance(hardware, Slice) else jobs
    found = simulator(jobs, model, hardware)
    return replace(
        known,
        predicted=found.iteration_s,
        layout=_layout_text(found.spec),
        tried=len(jobs),
        memory_bytes=found.memory_bytes,
        capacity_bytes=found.capacity_bytes,
        parts=dict(found.parts),
        assumed=hardware.assumed,
    )


def _peak_flops(row: TrainingRow, hardware: Hardware) -> float:
    """Return the peak that MFU is a share of: that of 16-bit products, as publications have it."""
    peaks = catalog.accelerator(hardware.node.accelerator).peak_flops
    return peaks.get("bf16") or peaks.get("fp16") or max(peaks.values())


def _framework(row: TrainingRow, hardware: Hardware) -> Framework:
    """Return the rule of a row; NVIDIA's entries of MLPerf are NeMo whatever they call it."""
    words = f"{row.framework} MLPerf" if row.table.startswith("MLPerf") else row.framework
    year = catalog.accelerator(hardware.node.accelerator).year
    return framework_of(words, year=year, system=row.system)


def _layout_text(spec: TrainingSpec) -> str:
    """`tp 8 pp 16 v 2 dp 8 zero 1 mb 2 full`."""
    layout = spec.parallelism
    sizes = {
        "tp": layout.tensor,
        "pp": layout.pipeline,
        "v": layout.virtual_stages,
        "cp": layout.context,
        "ep": layout.expert,
        "dp": layout.data or 1,
    }
    named = [f"{name} {size}" for name, size in sizes.items() if size > 1]
    named += [f"zero {layout.zero}"] if layout.zero else []
    return " ".join([*named, f"mb {spec.micro_batch}", f"recompute {spec.recompute}", spec.precision])
