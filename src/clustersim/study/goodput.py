"""Days of a training job under failures: how much of the time is useful, and how often to checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from clustersim.engine.world import World
from clustersim.errors import InputError, did_you_mean
from clustersim.spec.reliability import ReliabilitySpec
from clustersim.spec.scenario import Scenario
from clustersim.spec.training import TrainingSpec
from clustersim.study.goodput_intervals import IntervalPoint, sweep_intervals
from clustersim.study.goodput_result import Goodput, GoodputJob
from clustersim.study.prepare import Prepared, prepare
from clustersim.workloads.training.predict import predict
from clustersim.workloads.training.reliability import simulate_days
from clustersim.workloads.training.reliability.describe import describe_reliability
from clustersim.workloads.training.workload import TrainingWorkload

__all__ = ["Progress", "goodput"]

DAY_S = 86400.0
_VARYING_STEPS = 8
"""Iterations whose mean is taken where kernels are jittery: their maximum over the ranks varies little."""

Progress = Callable[[float, float], None]
"""Called with the fraction done and the simulated seconds."""


def goodput(
    scenario: Scenario,
    *,
    days: float = 30.0,
    seeds: int = 10,
    workload: str | None = None,
    iteration_s: float | None = None,
    sweep: bool = True,
    progress: Progress | None = None,
) -> Goodput:
    """Simulate days of a training job with failures, checkpoints, restarts and spare nodes.

    One iteration is simulated on the cluster; from then on the job is what its `reliability` says. All
    intervals of the sweep meet the same failures (common random numbers).

    Parameters
    ----------
    days
        Length of the period.
    seeds
        How many periods, with seeds counted up from the scenario's own.
    workload
        Name of the training job. Default: the only one of the scenario.
    iteration_s
        Time of an iteration, where it is known: measured, or from a run with other tenants on the fabric.
        Default: simulated, the job alone on the cluster.
    sweep
        Look for the best interval between checkpoints as well.
    progress
        Called now and then.

    Raises
    ------
    InputError, CannotRunError
        As `clustersim.study.prepare`; and where there is no such training job.

    **Valid when** `clustersim.workloads.training.reliability.simulate_days` is.
    **Checked by:** tests/study/test_goodput.py.
    """
    if days <= 0:
        raise InputError(f"there have to be more than 0 days, got {days:g}")
    if seeds < 1:
        raise InputError(f"there has to be at least one seed, got {seeds}")
    index = _index(scenario, workload)
    prepared = prepare(_alone(scenario, index))
    job = _describe(scenario, index, prepared, iteration_s)
    numbers = range(scenario.seed, scenario.seed + seeds)
    report = progress or (lambda fraction, simulated_s: None)
    runs = []
    for done, seed in enumerate(numbers):
        runs.append(simulate_days(job.model, days_s=days * DAY_S, seed=seed))
        report((done + 1) / seeds * (0.05 if sweep else 1.0), (done + 1) * days * DAY_S)
    points: tuple[IntervalPoint, ...] = ()
    if sweep:
        points = sweep_intervals(job.model, days_s=days * DAY_S, seeds=numbers, progress=report)
    return Goodput(scenario=scenario, job=job, days=days, runs=tuple(runs), points=points)


def _index(scenario: Scenario, name: str | None) -> int:
    """Return which workload is meant."""
    training = {spec.name: n for n, spec in enumerate(scenario.workloads) if spec.kind == "training"}
    if name is not None and name not in training:
        raise InputError(f"the scenario has no training job '{name}'.{did_you_mean(name, training)}")
    if not training:
        raise InputError("the scenario has no training job")
    if name is None and len(training) > 1:
        raise InputError(f"which training job: {', '.join(training)}? Name it with --workload")
    return training[name] if name is not None else next(iter(training.values()))


def _alone(scenario: Scenario, index: int) -> Scenario:
    """Return the scenario without the workloads after the job; those before it take their GPUs first."""
    return scenario.model_copy(update={"workloads": scenario.workloads[: index + 1]})


def _describe(scenario: Scenario, index: int, prepared: Prepared, iteration_s: float | None) -> GoodputJob:
    workload = prepared.workloads[index]
    assert isinstance(workload, TrainingWorkload)
    spec, job = workload.spec, workload.job
    if iteration_s is None:
        iteration_s = _simulated_iteration_s(spec, prepared, workload)
    with _located(scenario, index):
        described = describe_reliability(
            spec.reliability or ReliabilitySpec(),
            job,
            topology=prepared.topology,
            gpus=workload.gpus,
            iteration_s=iteration_s,
        )
    return GoodputJob(
        name=spec.name,
        gpus=len(workload.gpus),
        samples_per_iteration=job.global_batch,
        tokens_per_sample=job.cost.sequence,
        record=described.record.name,
        checkpoint=described.checkpoint,
        model=described.model,
    )


def _simulated_iteration_s(spec: TrainingSpec, prepared: Prepared, workload: TrainingWorkload) -> float:
    """Return the time of an iteration of the job alone: of several, and unfolded, where GPUs differ."""
    if not (spec.kernel_jitter or spec.gpu_spread or spec.stragglers):
        base = prepared.scenario.base_dir
        found = predict(spec, prepared.topology, base=base, gpus=workload.gpus, job=workload.job)
        return found.iteration_s
    steps = _VARYING_STEPS if spec.kernel_jitter else 1
    alone = spec.model_copy(update={"steps": steps, "duration": None, "start": 0.0})
    world = World(prepared.topology, seed=prepared.scenario.seed, keep_trace=False)
    job = TrainingWorkload(
        alone, topology=prepared.topology, gpus=workload.gpus, base=prepared.scenario.base_dir
    )
    world.env.run(until=job.start(world))
    return job.outcome().metrics["iteration_s.mean"]


@contextmanager
def _located(scenario: Scenario, index: int) -> Iterator[None]:
    """Give problems of the job their place in the scenario file."""
    try:
        yield
    except InputError as error:
        problems = [
            scenario.locate(replace(problem, path=("workloads", index, *problem.path)))
            for problem in error.problems
        ]
        raise type(error)(problems) from None
