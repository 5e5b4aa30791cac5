"""Data-parallel training against published throughput: ResNet-50 and BERT-large.

Each row becomes a scenario of its own, is run for a few steps in the simulator, and its
samples per second stand beside the published ones. Nothing is fitted to these rows: times
come from the roofline's kernel tables, the collectives' calibration and the operator lists
of docs/training.md, the same for every framework.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from clustersim import catalog
from clustersim.engine.world import World
from clustersim.errors import CannotRunError, ClusterSimError
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.training import TrainingSpec
from clustersim.study.validation.framework import Row, Validation
from clustersim.topology import build
from clustersim.workloads.training import TrainingWorkload

__all__ = ["DATA_PARALLEL", "Measurement", "NotModelledError", "predict", "read_measurement"]

_COLUMNS = (
    "row_id",
    "model",
    "framework",
    "gpu",
    "n_gpus",
    "network",
    "precision",
    "batch_per_gpu",
    "accum_steps",
    "seq_len",
    "metric",
    "value",
    "unit",
    "notes",
)
_NODE_TYPES: Mapping[str, str] = {
    "A100-80GB": "dgx-a100-80gb",
    "A100-40GB": "dgx-a100",
    "V100-32GB": "dgx-1v",
    "V100-16GB": "dgx-1v-16gb",
    "H100-80GB": "dgx-h100",
}
"""System that a published row's GPU stands in; a table of one's own names the node type."""

_MODELS: tuple[tuple[str, str, str], ...] = (
    # Beginning of the published name, model of the catalogue, optimizer of the scripts.
    ("resnet-50", "resnet-50", "sgd"),
    ("bert-large squad", "bert-large", "adam"),
    ("bert-large", "bert-large", "lamb"),
)
_STEPS = 3


class NotModelledError(Exception):
    """A row that says too little, or something that is not simulated; its text is the reason."""


@dataclass(frozen=True)
class Measurement:
    """One published throughput and the job that it was measured on."""

    model: str
    optimizer: str
    node_type: str
    gpus: int
    link: str
    precision: str
    batch: int
    accumulation: int
    sequence: int | None
    samples_per_s: float

    def scenario(self) -> tuple[ClusterSpec, TrainingSpec]:
        """Return the cluster and the job as a scenario file would say them."""
        node = catalog.node_type(self.node_type)
        nodes = -(-self.gpus // node.gpus)
        cluster = {
            "topology": {"kind": "rail-optimized", "nodes": nodes, "node": self.node_type},
            "fabric": {"link": self.link},
        }
        job = {
            "kind": "training",
            "name": "job",
            "model": self.model,
            "gpus": self.gpus,
            "precision": self.precision,
            "optimizer": self.optimizer,
            "micro_batch": self.batch,
            "global_batch": self.batch * self.gpus * self.accumulation,
            "sequence": self.sequence,
            "attention": "unfused",
            "steps": _STEPS,
        }
        return ClusterSpec.model_validate(cluster), TrainingSpec.model_validate(job)


def read_measurement(row: Mapping[str, str]) -> Measurement:
    """Read a table row.

    Raises
    ------
    NotModelledError
        With the reason, in words.
    """
    if not row["metric"].startswith("training throughput"):
        raise NotModelledError(f"'{row['metric']}' is no throughput of training steps")
    if row["unit"] not in ("img/s", "sequences/s", "samples/s"):
        raise NotModelledError(f"unit '{row['unit']}' is not samples per second")
    model, optimizer = _model(row)
    node_type = _node_type(row["gpu"])
    return Measurement(
        model=model,
        optimizer=optimizer,
        node_type=node_type,
        gpus=_whole(row, "n_gpus"),
        link=_link(row["network"], node_type),
        precision=_precision(row["precision"]),
        batch=_whole(row, "batch_per_gpu"),
        accumulation=_whole(row, "accum_steps") if row["accum_steps"].strip() else 1,
        sequence=_sequence(row, model),
        samples_per_s=_number(row, "value"),
    )


def predict(measurement: Measurement) -> float:
    """Return the samples per second of the simulated job.

    Raises
    ------
    ClusterSimError
        If the catalogue lacks something, or the job cannot run.
    """
    cluster, job = measurement.scenario()
    topology = build(cluster, base=None)
    world = World(topology, keep_trace=False)
    workload = TrainingWorkload(job, topology=topology, gpus=topology.gpus[: measurement.gpus])
    world.env.run(until=workload.start(world))
    return workload.outcome().metrics["samples_per_s"]


def _predict_rows(rows: Sequence[dict[str, str]]) -> Iterator[Row]:
    for row in rows:
        yield _predict_row(row)


def _predict_row(row: Mapping[str, str]) -> Row:
    empty = Row(row["row_id"], _group(row), row["unit"], None, None, note=row["notes"])
    try:
        measurement = read_measurement(row)
    except NotModelledError as error:
        return replace(empty, reason=str(error))
    known = replace(empty, measured=measurement.samples_per_s, unit="samples/s", x=float(measurement.gpus))
    try:
        return replace(known, predicted=predict(measurement))
    except CannotRunError as error:
        return _retry(measurement, known, error)
    except ClusterSimError as error:
        return replace(known, reason=str(error))


def _retry(measurement: Measurement, known: Row, error: CannotRunError) -> Row:
    """Read a batch that does not fit as what all accumulation steps add up to.

    Some tables print the batch per optimizer step, others per pass; only one of them fits.
    """
    batch, rest = divmod(measurement.batch, measurement.accumulation)
    if measurement.accumulation == 1 or rest:
        return replace(known, reason=str(error))
    note = "; ".join(
        filter(None, (known.note, f"batch {measurement.batch} read as {measurement.accumulation} × {batch}"))
    )
    try:
        return replace(known, predicted=predict(replace(measurement, batch=batch)), note=note)
    except ClusterSimError:
        return replace(known, reason=str(error))


def _fine_tuning(row: Mapping[str, str]) -> bool:
    return "squad" in f"{row['model']} {row.get('table', '')}".lower()


def _group(row: Mapping[str, str]) -> str:
    """Model and task, framework, GPU: what errors are averaged over."""
    model = row["model"].partition(" (")[0].partition(" SQuAD")[0]
    task = " SQuAD" if _fine_tuning(row) else ""
    named = model.replace("BERT-large", "BERT-Large")  # the sources spell it both ways
    return ", ".join(filter(None, (f"{named}{task}", row["framework"].strip(), row["gpu"].strip())))


def _model(row: Mapping[str, str]) -> tuple[str, str]:
    published = row["model"].lower()
    for beginning, model, optimizer in _MODELS:
        if published.startswith(beginning):
            return model, "adam" if _fine_tuning(row) else optimizer
    try:
        return catalog.model(row["model"]).name, "adam"
    except ClusterSimError:
        raise NotModelledError(f"'{row['model']}' is not in the catalogue") from None


def _node_type(gpu: str) -> str:
    name = _NODE_TYPES.get(gpu, gpu)
    try:
        return catalog.node_type(name).name
    except ClusterSimError:
        raise NotModelledError(f"no node type is known for GPU '{gpu}'; write one of the catalogue") from None


def _link(network: str, node_type: str) -> str:
    try:
        return catalog.link(network.strip()).name
    except ClusterSimError:
        return catalog.node_type(node_type).nic_link


def _precision(text: str) -> str:
    name = text.strip().lower()
    if name.startswith("mixed") or "amp" in name:
        return "fp16"
    if name in ("fp32", "tf32", "fp16", "bf16"):
        return name
    raise NotModelledError(f"precision '{text}' is unknown" if text else "no precision is given")


def _sequence(row: Mapping[str, str], model: str) -> int | None:
    if model.startswith("resnet"):
        return None
    if not row["seq_len"].strip():
        raise NotModelledError(row["notes"] or "no sequence length is given")
    return _whole(row, "seq_len")


def _whole(row: Mapping[str, str], column: str) -> int:
    number = _number(row, column)
    if number < 1 or number != int(number):
        raise NotModelledError(f"{column} '{row[column]}' is no whole number above zero")
    return int(number)


def _number(row: Mapping[str, str], column: str) -> float:
    text = row[column].strip()
    if not text:
        raise NotModelledError(f"no {column} is given")
    try:
        return float(text)
    except ValueError:
        raise NotModelledError(f"{column} '{text}' is no number") from None


DATA_PARALLEL = Validation(
    name="data-parallel",
    title="Data-parallel training: samples per second against published throughput",
    shipped="data_parallel.csv",
    columns=_COLUMNS,
    predict=_predict_rows,
)
"""ResNet-50 and BERT-large on 1 to 256 A100, and BERT-large on one V100.

**Source:** NVIDIA DeepLearningExamples (commit 729963dd), README of each model; DeepSpeed
blog of 28 May 2020.
"""
