"""The job whose layouts are searched, as a scenario: a cluster and one training workload."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clustersim import catalog
from clustersim.errors import CannotRunError, CatalogError, InputError
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.edit import plain
from clustersim.spec.load import load_cluster
from clustersim.spec.scenario import Scenario
from clustersim.spec.training import TrainingSpec
from clustersim.study.plan.evaluator import plan_topology
from clustersim.study.plan.space import Limits, SearchSpace
from clustersim.topology import Topology

__all__ = ["WORKLOAD", "describe_plan", "space_of"]

WORKLOAD = "plan"
"""Name of the job in the scenarios that a search makes."""


def describe_plan(
    model: str,
    cluster: Path | str | ClusterSpec | Scenario,
    *,
    gpus: int,
    global_batch: int,
    job: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> Scenario:
    """Return the cluster with a job that has no layout yet.

    Parameters
    ----------
    cluster
        A topology or scenario file, or what one holds.
    job
        Further fields of the job.
    changes
        By dotted path, as `Scenario.with_` takes them.

    Raises
    ------
    InputError
        For unknown names and values that a scenario cannot take.
    """
    spec, base_dir = _cluster(cluster)
    if Path(model).exists():
        model = str(Path(model).resolve())  # named from the working folder, not from the cluster's
    workload = {
        "kind": "training",
        "name": WORKLOAD,
        "model": model,
        "gpus": gpus,
        "micro_batch": 1,
        "global_batch": global_batch,
        "steps": 1,
        **{name: value for name, value in job.items() if value is not None},
    }
    data = {"name": f"plan-{Path(model).stem}", "cluster": plain(spec), "workloads": [workload]}
    scenario = Scenario.from_dict(data, base_dir=base_dir)
    try:
        catalog.model(model, base=base_dir)
    except CatalogError as error:
        raise InputError(str(error)) from None
    return scenario.with_(**changes) if changes else scenario


def space_of(scenario: Scenario, limits: Limits) -> tuple[SearchSpace, Topology]:
    """Return the layouts of a job, and the cluster that they are for.

    Raises
    ------
    CannotRunError
        For more GPUs than there are.
    """
    spec = scenario.workloads[0]
    assert isinstance(spec, TrainingSpec)
    try:
        topology = plan_topology(scenario)
    except InputError as error:
        raise scenario.locate_all(error) from None
    if spec.gpus > len(topology.gpus):
        raise CannotRunError(f"{spec.gpus} GPUs are asked for, the cluster has {len(topology.gpus)}")
    model = catalog.model(spec.model, base=scenario.base_dir)
    node_gpus = len(topology.gpus_by_node[topology.node_of(topology.gpus[0])])
    return SearchSpace(base=spec, model=model, node_gpus=node_gpus, limits=limits), topology


def _cluster(cluster: Path | str | ClusterSpec | Scenario) -> tuple[ClusterSpec, Path | None]:
    if isinstance(cluster, ClusterSpec):
        return cluster, None
    if isinstance(cluster, Scenario):
        return cluster.cluster, cluster.base_dir
    file = load_cluster(cluster)
    return file.cluster, file.base_dir
