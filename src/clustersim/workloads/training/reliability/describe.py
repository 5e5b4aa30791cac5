"""From a training job and what its scenario says of reliability to the model that is simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx

from clustersim.catalog.reliability import SHELF, ReliabilityRecord
from clustersim.errors import CatalogError, InputError, Problem
from clustersim.spec.reliability import ReliabilitySpec
from clustersim.topology import Topology
from clustersim.workloads.training.job import TrainingJob
from clustersim.workloads.training.layout import Layout
from clustersim.workloads.training.reliability.checkpoint import CheckpointCost, checkpoint_cost
from clustersim.workloads.training.reliability.model import ReliabilityModel

__all__ = ["DescribedReliability", "describe_reliability", "node_blocks"]


@dataclass(frozen=True, eq=False)
class DescribedReliability:
    """A job over days, before it is simulated."""

    record: ReliabilityRecord
    checkpoint: CheckpointCost
    model: ReliabilityModel


def describe_reliability(
    spec: ReliabilitySpec,
    job: TrainingJob,
    *,
    topology: Topology,
    gpus: Sequence[str],
    iteration_s: float,
) -> DescribedReliability:
    """Put the scenario's numbers and the catalogue's together.

    Parameters
    ----------
    gpus
        Of the job.
    iteration_s
        What one iteration takes with all replicas.

    Raises
    ------
    InputError
        For an unknown record, and where a bandwidth is neither given nor known.
    """
    given, record = spec.failures, _record(spec.failures.like)
    checkpoint = checkpoint_cost(
        spec.checkpoint,
        job,
        topology=topology,
        gpus=gpus,
        node_bandwidth_bytes_per_s=record.checkpoint_bandwidth_bytes_per_s,
    )
    model = ReliabilityModel(
        iteration_s=iteration_s,
        blocks=node_blocks(job.layout, topology),
        spares=spec.spares,
        stall_s=checkpoint.stall_s,
        write_s=checkpoint.write_s,
        load_s=checkpoint.load_s,
        detection_s=_first(given.detection, record.detection_s),
        restart_s=_first(given.restart, record.restart_s),
        node_mtbf_s=_first(given.node_mtbf, record.node_mtbf_s),
        weibull_shape=given.weibull_shape,
        software_mtbf_s=_first(given.software_mtbf, record.software_mtbf_s),
        repair_s=_first(given.repair, record.repair_s),
        interval_steps=spec.checkpoint.steps or 0,
        without_spare=spec.without_spare,
    )
    interval_s = spec.checkpoint.interval
    if interval_s is not None:
        model = model.every(model.steps_near(interval_s))
    return DescribedReliability(record, checkpoint, model)


def node_blocks(layout: Layout, topology: Topology) -> tuple[int, ...]:
    """Return the number of nodes of each block: nodes that no data-parallel replica shares with others.

    Replicas that are bound together, by experts that they divide or parameters that ZeRO 3 divides, are
    one. A node of several replicas binds them together as well.

    **Valid when** all blocks hold equally many replicas.
    """
    shared: nx.Graph[tuple[str, int | str]] = nx.Graph()
    for number, replicas in enumerate(layout.lanes):
        for gpu in layout.gpu_names[layout.grid[:, replicas].ravel()]:
            shared.add_edge(("replicas", number), ("node", topology.node_of(gpu)))
    components = nx.connected_components(shared)
    return tuple(sum(kind == "node" for kind, _ in block) for block in components)


def _record(name: str) -> ReliabilityRecord:
    try:
        return SHELF.get(name)
    except CatalogError as error:
        raise InputError(Problem(("reliability", "failures", "like"), str(error))) from None


def _first(given: float | None, known: float) -> float:
    return known if given is None else given
