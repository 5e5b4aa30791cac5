"""How many GPUs each workload occupies, and where it says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from clustersim.errors import PathPart
from clustersim.spec.inference import InferenceSpec
from clustersim.spec.placement import PlacementSpec
from clustersim.spec.ranking.inference import RankingInferenceSpec
from clustersim.spec.scenario import WorkloadSpec

__all__ = ["GpusNeeded", "gpus_needed"]


class GpusNeeded(NamedTuple):
    """A group of GPUs of a workload."""

    gpus: int
    placement: PlacementSpec
    field: tuple[PathPart, ...] = ("gpus",)
    """Where the workload says how many."""


def gpus_needed(spec: WorkloadSpec) -> tuple[GpusNeeded, ...]:
    """Return how many GPUs a workload occupies, and where: group by group."""
    if isinstance(spec, InferenceSpec):
        return tuple(_of_service(spec))
    if isinstance(spec, RankingInferenceSpec):
        return tuple(_of_ranking_service(spec))
    return (GpusNeeded(spec.gpus, spec.placement),)


def _of_service(spec: InferenceSpec) -> Iterator[GpusNeeded]:
    split = spec.disaggregation is not None
    owners = (("disaggregation", "prefill"), ("disaggregation", "decode")) if split else ((),)
    for owner, pool in zip(owners, spec.pools, strict=True):
        said = ("replicas",) if pool.autoscaling is None else ("autoscaling", "max")
        yield GpusNeeded(pool.most_replicas * pool.parallelism.gpus, pool.placement, (*owner, *said))


def _of_ranking_service(spec: RankingInferenceSpec) -> Iterator[GpusNeeded]:
    stages = [("stages", number) for number in range(len(spec.stages))]
    variant = [] if spec.experiment is None else [("experiment", "variant")]
    for owner, pool in zip([(), *stages, *variant], spec.pools, strict=True):
        yield GpusNeeded(pool.gpus, pool.placement, (*owner, "replicas"))
