"""Processes over the engine: training jobs, inference services and replayed traces."""

from __future__ import annotations

from pathlib import Path

from clustersim.spec.chakra import ChakraSpec
from clustersim.spec.inference import InferenceSpec
from clustersim.spec.ranking.inference import RankingInferenceSpec
from clustersim.spec.ranking.training import RankingTrainingSpec
from clustersim.spec.scenario import WorkloadSpec
from clustersim.topology import Topology
from clustersim.workloads.base import Outcome, Table, Workload
from clustersim.workloads.gpus_needed import gpus_needed

__all__ = ["Outcome", "Table", "Workload", "create", "gpus_needed"]


def create(
    spec: WorkloadSpec, *, topology: Topology, gpus: tuple[str, ...], base: Path | None = None
) -> Workload:
    """Make the workload that a spec describes on the GPUs it was given.

    Everything that can be known before running is checked here.

    Raises
    ------
    InputError
        For names and files that do not exist (paths relative to the workload).
    CannotRunError
        Where the model does not fit or groups do not divide.
    """
    if isinstance(spec, InferenceSpec):
        from clustersim.workloads.inference import InferenceWorkload

        return InferenceWorkload(spec, topology=topology, gpus=gpus, base=base)
    if isinstance(spec, ChakraSpec):
        from clustersim.workloads.chakra import ChakraWorkload

        return ChakraWorkload(spec, topology=topology, gpus=gpus, base=base)
    if isinstance(spec, RankingInferenceSpec):
        from clustersim.workloads.ranking.inference import RankingInferenceWorkload

        return RankingInferenceWorkload(spec, topology=topology, gpus=gpus, base=base)
    if isinstance(spec, RankingTrainingSpec):
        from clustersim.workloads.ranking.training import RankingTrainingWorkload

        return RankingTrainingWorkload(spec, topology=topology, gpus=gpus, base=base)
    from clustersim.workloads.training import TrainingWorkload

    return TrainingWorkload(spec, topology=topology, gpus=gpus, base=base)
