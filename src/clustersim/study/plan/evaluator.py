"""What a worker does: says what a layout needs, and simulates it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from clustersim import catalog
from clustersim.errors import ClusterSimError, InputError
from clustersim.spec.scenario import Scenario
from clustersim.spec.training import TrainingSpec
from clustersim.study.plan.layouts import Assessed, Simulated
from clustersim.study.plan.network_bytes import network_bytes
from clustersim.study.plan.steady import estimate, repeats
from clustersim.topology import Topology, build
from clustersim.workloads.training.bound import Bounds
from clustersim.workloads.training.crossings import Crossings
from clustersim.workloads.training.job import TrainingJob, describe_job
from clustersim.workloads.training.predict import predict

__all__ = ["Assess", "Evaluator", "Simulate", "plan_topology"]


@dataclass(frozen=True)
class Assess:
    """Find the first of several layouts that fits."""

    ladder: tuple[TrainingSpec, ...]


@dataclass(frozen=True)
class Simulate:
    """Simulate one iteration; `whole`: every micro-batch of it."""

    spec: TrainingSpec
    whole: bool = True


def plan_topology(scenario: Scenario) -> Topology:
    """Build the cluster of a search; the same in every process."""
    return build(scenario.cluster, base=scenario.base_dir, seed=scenario.seed)


class Evaluator:
    """Answers `Assess` and `Simulate` for one cluster and model; made once per process.

    Parameters
    ----------
    scenario
        The cluster, and what all layouts have in common as its only workload.
    """

    def __init__(self, scenario: Scenario) -> None:
        spec = scenario.workloads[0]
        assert isinstance(spec, TrainingSpec)
        self._base = scenario.base_dir
        self._topology = plan_topology(scenario)
        self._gpus = self._topology.gpus[: spec.gpus]
        self._model = catalog.model(spec.model, base=self._base)
        self._memory_bytes = min(self._topology.memory_bytes(gpu) for gpu in self._gpus)
        self._bounds = Bounds(self._topology)

    def __call__(self, question: Assess | Simulate) -> tuple[Assessed, ...] | Simulated:
        """Answer one question."""
        if isinstance(question, Assess):
            return self.assess(question.ladder)
        if question.whole or not repeats(question.spec):
            return self.simulate(question.spec)
        return estimate(question.spec, self.simulate)

    def assess(self, ladder: Sequence[TrainingSpec]) -> tuple[Assessed, ...]:
        """Return what each layout needs, up to the first one that fits."""
        found: list[Assessed] = []
        for spec in ladder:
            found.append(self._assess(spec))
            if found[-1].fate != "does not fit":
                break
        return tuple(found)

    def simulate(self, spec: TrainingSpec) -> Simulated:
        """Return what an iteration takes; whatever goes wrong with one layout must not cost the others."""
        begun = time.perf_counter()
        try:
            found = predict(spec, self._topology, gpus=self._gpus, job=self._job(spec))
        except ClusterSimError as error:
            return Simulated(error=str(error))
        return Simulated(
            iteration_s=found.iteration_s,
            metrics=dict(found.metrics),
            wall_s=time.perf_counter() - begun,
        )

    def _assess(self, spec: TrainingSpec) -> Assessed:
        try:
            job = self._job(spec)
        except InputError as error:
            return Assessed(fate="cannot be divided", reason=str(error))
        fullest = max(job.memory, key=lambda memory: memory.total_bytes)
        memory = dict(fullest.items())
        if fullest.total_bytes > self._memory_bytes:
            return Assessed(fate="does not fit", memory=memory)
        crossings = Crossings(job.layout, self._bounds.nodes)
        return Assessed(
            fate="fits",
            memory=memory,
            bound_s=self._bounds.of(job, crossings),
            network_bytes=network_bytes(job, self._bounds.nodes, crossings),
        )

    def _job(self, spec: TrainingSpec) -> TrainingJob:
        return describe_job(
            spec, topology=self._topology, gpus=self._gpus, base=self._base, model=self._model, fits=False
        )
