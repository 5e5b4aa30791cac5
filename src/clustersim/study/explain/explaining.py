"""`explain`: a table of what each workload is about, made by running it, with techniques on and off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clustersim.catalog.accelerators import Accelerator
from clustersim.errors import CannotRunError, ClusterSimError, InputError
from clustersim.results import Ending, Result
from clustersim.spec.demand import scaled_load
from clustersim.spec.ranking.inference import RankingInferenceSpec
from clustersim.spec.scenario import Scenario, WorkloadSpec
from clustersim.study import runner
from clustersim.study.capacity.service import SERVICE_KINDS, ServiceSpec
from clustersim.study.executor import usable_cores
from clustersim.study.explain import (
    for_inference,
    for_ranking_inference,
    for_ranking_training,
    for_training,
)
from clustersim.study.explain.result import Explained, Explanation, Trial
from clustersim.study.explain.technique import NotHere, Technique
from clustersim.study.explain.unit_cost import UnitCost
from clustersim.study.prepare import prepare
from clustersim.study.records import RunRecord, RunStore
from clustersim.study.running import run_all

__all__ = ["Progress", "explain"]

Progress = Callable[[float, float], None]
"""Called with the fraction of the runs that are done and their simulated seconds."""

_FULL_LOAD = 32.0
"""Factor on the load of a service that is asked what it can do: more than any of them was made for."""

_TECHNIQUES: Mapping[str, Sequence[Technique]] = {
    "training": for_training.TECHNIQUES,
    "inference": for_inference.TECHNIQUES,
    "ranking-training": for_ranking_training.TECHNIQUES,
    "ranking-inference": for_ranking_inference.TECHNIQUES,
}


def explain(
    *scenarios: Scenario,
    jobs: int | None = None,
    store: Path | str | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Run each workload as it is, and with each technique of its kind turned on, or off where it is on.

    Parameters
    ----------
    scenarios
        One or several; their workloads stand side by side.
    jobs
        Processes at once. Default: one per core. The answer does not depend on it.
    store
        Folder that keeps finished runs; explaining again continues where it stopped.
    progress
        Called after every run.

    Raises
    ------
    InputError, CannotRunError
        If a scenario cannot run as it is. A technique that cannot is listed with the reason.
    KeyboardInterrupt
        If Ctrl-C stopped a run: half a run is not measured.

    **Valid when** runs are long enough to measure a rate. What a technique does to answers is not simulated;
    `Technique.same_answers` says where quality has to be measured on the model itself.
    **Checked by:** tests/study/test_explain.py.

    Examples
    --------
    >>> import clustersim as cs
    >>> scenario = cs.load("scenarios/ddp-and-chat-on-one-fabric.yaml")
    >>> print(cs.explain(scenario).summary())  # doctest: +SKIP
    """
    if not scenarios:
        raise InputError("there is nothing to explain; give at least one scenario")
    results = [runner.run(scenario) for scenario in scenarios]
    for result in results:
        if result.ending is Ending.INTERRUPTED:
            raise KeyboardInterrupt
        if not result.complete:
            raise CannotRunError("; ".join(result.notes))
    plans = [_plan(result, spec) for result in results for spec in result.scenario.workloads]
    records = run_all(
        [scenario for plan in plans for scenario in plan.scenarios],
        jobs=usable_cores() if jobs is None else jobs,
        store=None if store is None else RunStore(store),
        report=lambda found, count: progress and progress(_part(found, count), _simulated_s(found)),
    )
    answers = iter(records)
    return Explanation(tuple(plan.explained(answers) for plan in plans))


def _part(found: Mapping[str, RunRecord], count: int) -> float:
    return len(found) / count if count else 1.0


def _simulated_s(found: Mapping[str, RunRecord]) -> float:
    return sum(record.simulated_s for record in found.values())


@dataclass(frozen=True)
class _Planned:
    """A technique, and the scenarios that try it; none where it cannot be tried.

    They are the scenario with the change and, for a service, the same at full load.
    """

    technique: Technique
    words: str
    turns_on: bool = True
    scenarios: tuple[Scenario, ...] = ()


@dataclass(frozen=True)
class _Plan:
    """A workload that has run, and what is still to be run.

    Parameters
    ----------
    full
        The scenario as it is with a service at full load; none for other workloads.
    """

    result: Result
    spec: WorkloadSpec
    full: tuple[Scenario, ...]
    trials: Sequence[_Planned]

    @property
    def scenarios(self) -> list[Scenario]:
        """All that is to be run, in the order in which `explained` takes the records."""
        return [*self.full, *(scenario for trial in self.trials for scenario in trial.scenarios)]

    def explained(self, records: Iterator[RunRecord]) -> Explained:
        """Put together what was found."""
        outcome = self.result.outcomes[self.spec.name]
        full = [next(records) for _ in self.full]
        here = None
        if not any(record.error for record in full):
            here = self._cost(outcome.metrics, full)
        trials = [
            self._trial(planned, here, [next(records) for _ in planned.scenarios]) for planned in self.trials
        ]
        return Explained(self.spec, outcome, self.result.scenario.name, here, tuple(trials))

    def _trial(self, planned: _Planned, here: UnitCost | None, records: Sequence[RunRecord]) -> Trial:
        technique = planned.technique
        trial = Trial(technique.name, planned.words, technique.same_answers, is_on=not planned.turns_on)
        if not records:
            return trial.refused(planned.words)
        error = next((record.error for record in records if record.error), "")
        if error:
            return trial.refused(_first_sentence(error))
        other = self._cost(records[0].metrics[self.spec.name], records[1:])
        if here is None or other is None:
            return trial.refused("nothing was done that could be counted")
        return trial.measured(here, other)

    def _cost(self, metrics: Mapping[str, float], full: Sequence[RunRecord]) -> UnitCost | None:
        name = self.spec.name
        at_full_load = full[0].metrics[name] if full else None
        return UnitCost.of(metrics, self.result.outcomes[name].facts, at_full_load=at_full_load)


def _plan(result: Result, spec: WorkloadSpec) -> _Plan:
    scenario = result.scenario
    accelerator = _accelerator(scenario, spec.name)
    metrics = result.outcomes[spec.name].metrics
    sent = round(metrics.get("requests_sent", metrics.get("queries_sent", 0.0)))
    trials = [
        _planned(scenario, spec, technique, accelerator, sent) for technique in _TECHNIQUES.get(spec.kind, ())
    ]
    return _Plan(result, spec, _at_full_load(scenario, spec.name, sent), trials)


def _accelerator(scenario: Scenario, name: str) -> Accelerator:
    """Return the accelerator of a workload's first GPU."""
    prepared = prepare(scenario)
    gpus = next(
        gpus
        for workload, gpus in zip(prepared.workloads, prepared.gpus, strict=True)
        if workload.name == name
    )
    return prepared.topology.accelerator(gpus[0])


def _planned(
    scenario: Scenario, spec: WorkloadSpec, technique: Technique, accelerator: Accelerator, sent: int
) -> _Planned:
    change = technique.change(spec, accelerator)
    if isinstance(change, NotHere):
        return _Planned(technique, change.reason)
    fields = {f"workloads.{spec.name}.{path}": value for path, value in change.fields.items()}
    try:
        changed = scenario.with_(**fields, **{"run.trace": False})
        prepare(changed)
    except ClusterSimError as error:
        return _Planned(technique, _first_sentence(str(error)), change.turns_on)
    runs = (changed, *_at_full_load(changed, spec.name, sent))
    return _Planned(technique, change.words, change.turns_on, runs)


def _at_full_load(scenario: Scenario, name: str, sent: int) -> tuple[Scenario, ...]:
    """Return the scenario with the same requests of a service so close together that it is never idle."""
    if not any(spec.name == name and spec.kind in SERVICE_KINDS for spec in scenario.workloads):
        return ()
    workloads = tuple(
        _saturated(spec, sent) if isinstance(spec, ServiceSpec) and spec.name == name else spec
        for spec in scenario.workloads
    )
    run = scenario.run.model_copy(update={"trace": False})
    return (scenario.model_copy(update={"workloads": workloads, "run": run}),)


def _saturated(spec: ServiceSpec, sent: int) -> ServiceSpec:
    count = "queries" if isinstance(spec, RankingInferenceSpec) else "requests"
    as_many = {count: sent, "duration": None, "warmup": 0.0}
    return scaled_load(spec, _FULL_LOAD).model_copy(update=as_many)


def _first_sentence(text: str) -> str:
    return text.splitlines()[0] if text else text
