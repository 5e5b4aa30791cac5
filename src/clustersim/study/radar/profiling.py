"""`radar`: run each workload, and run it again with one resource at a time slower and faster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clustersim.errors import CannotRunError
from clustersim.spec.scenario import Scenario
from clustersim.study.executor import usable_cores
from clustersim.study.radar.capacity_elasticity import (
    CapacityElasticity,
    capacity_elasticity,
    has_capacity,
)
from clustersim.study.radar.elasticity import elasticities
from clustersim.study.radar.memory_axis import Variant, memory_axis, memory_variants, shadow_price
from clustersim.study.radar.needs import needs
from clustersim.study.radar.reruns import measured, rerun_variants
from clustersim.study.radar.result import Profile, Radar
from clustersim.study.radar.what_if import curves, what_if_variants
from clustersim.study.radar.workload import Scenarios, Subject, subjects
from clustersim.study.records import RunRecord, RunStore
from clustersim.study.running import run_all

__all__ = ["Progress", "radar"]

Progress = Callable[[float, float], None]
"""Called with the fraction of the runs that is done and the simulated seconds of all of them."""

_FIRST = 0.05
"""Part of the bar for the scenarios as they are; what comes after them is known only then."""
_WORTH_A_PROCESS_S = 5.0
"""Where no run takes longer than this, one after the other is quicker than a process for each."""


def radar(
    scenarios: Scenarios = None,
    *,
    workloads: Iterable[str] = (),
    seed: int | None = None,
    check: bool = True,
    what_if: bool = True,
    memory: bool = True,
    capacity: bool = False,
    jobs: int | None = None,
    store: Path | str | None = None,
    progress: Progress | None = None,
) -> Radar:
    """Find what each workload needs, on five axes.

    The five are compute, memory capacity, memory bandwidth, network bandwidth and sensitivity to network
    latency. Four of them are elasticities: by how much more is done with a resource so much faster. They
    are the shares of the workload's time that belong to the resources, as one run finds them; reruns check
    them. How memory capacity gets an axis says `Profile.radius`.

    Parameters
    ----------
    scenarios
        A scenario, a file, several of them, or several by label; each workload in them is one polygon.
        Default: the five that are shipped (LLM training, prefill and decode, ranking training and
        inference), all on the same cluster.
    workloads
        Names of the only workloads to look at, where a scenario has several.
    seed
        In place of the scenarios' own.
    check
        Run again with each resource 5 % slower and faster, under common random numbers.
    what_if
        Run again with each resource half, twice and four times as fast (memory: as large).
    memory
        Run again with a tenth less and a tenth more memory, planned anew, for the worth of memory.
    capacity
        Search the highest load that services keep their objectives at, as it is and with each resource 5 %
        slower and faster: a hundred runs or more of each service whose requests come at a rate.
    jobs
        Processes at once. Default: one per core, or this process alone where runs are quick. The answer does
        not depend on it.
    store
        Folder that keeps finished runs; asking again continues where it stopped.
    progress
        Called after every run.

    Raises
    ------
    InputError
        For files and names that are not there.
    CannotRunError
        If no workload can run at all: why the first cannot.

    **Valid when** a service is at a load that it keeps its objectives at: shares are of that load.
    **Checked by:** tests/study/test_radar.py.

    Examples
    --------
    >>> import clustersim as cs
    >>> picture = cs.radar().plot.radar()  # doctest: +SKIP
    """
    found = _seeded(subjects(scenarios, workloads=workloads), seed)
    runs = _Runs(jobs=jobs, store=store, progress=progress)
    records = runs.all([subject.scenario for subject in found])
    failures = [_failure(subject, record) for subject, record in zip(found, records, strict=True)]
    if all(failures):
        raise CannotRunError(failures[0])
    able = [
        (subject, record) for subject, record, why in zip(found, records, failures, strict=True) if not why
    ]
    wanted = [_again(subject, check=check, what_if=what_if, memory=memory) for subject, _ in able]
    again = iter(runs.all([scenario for each in wanted for scenario in each.all]))
    return Radar(
        profiles=tuple(
            _profile(subject, record, each.filled(again), runs.capacity(subject) if capacity else None)
            for (subject, record), each in zip(able, wanted, strict=True)
        ),
        failed={subject.label: why for subject, why in zip(found, failures, strict=True) if why},
    )


def _seeded(found: Sequence[Subject], seed: int | None) -> list[Subject]:
    """Return the subjects as they are run: with this seed, and without a trace, which nobody reads."""
    changes = {"run.trace": False} | ({} if seed is None else {"seed": seed})
    changed = {id(subject.scenario): subject.scenario for subject in found}
    changed = {key: scenario.with_(**changes) for key, scenario in changed.items()}
    return [Subject(each.label, changed[id(each.scenario)], each.workload) for each in found]


def _failure(subject: Subject, record: RunRecord) -> str:
    """Return why a subject has no profile; empty where it has one."""
    if record.error:
        return record.error
    if not any(elasticities(record.shares.get(subject.workload, {})).values()):
        return f"'{subject.workload}' finished nothing, so there is no time to divide"
    if needs(subject, record) is None or subject.objective(record) is None:
        return f"'{subject.workload}' does not say what work it did; see docs/radar.md"
    return ""


class _Again(NamedTuple):
    """What to run again for one subject: scenarios, or the records of them.

    `speeds` by resource and factor, `memories` by factor on the memory and plan.
    """

    speeds: dict[tuple[str, float], Any]
    memories: dict[Variant, Any]

    @property
    def all(self) -> list[Any]:
        """All of them, in order."""
        return [*self.speeds.values(), *self.memories.values()]

    def filled(self, records: Iterator[RunRecord]) -> _Again:
        """Return the same with the next records in place of the scenarios."""
        return _Again(
            {key: next(records) for key in self.speeds}, {key: next(records) for key in self.memories}
        )


def _again(subject: Subject, *, check: bool, what_if: bool, memory: bool) -> _Again:
    speeds = rerun_variants(subject.scenario) if check else {}
    speeds |= what_if_variants(subject.scenario) if what_if else {}
    return _Again(speeds, memory_variants(subject) if memory else {})


def _profile(
    subject: Subject, record: RunRecord, again: _Again, capacity: CapacityElasticity | None
) -> Profile:
    runs: dict[tuple[str, float], RunRecord] = again.speeds
    objectives = {key: value for key, each in runs.items() if (value := subject.objective(each))}
    reasons = {key: each.error for key, each in runs.items() if each.error}
    need, now = needs(subject, record), subject.objective(record)
    assert need is not None
    assert now is not None
    return Profile(
        subject=subject,
        elasticities=elasticities(record.shares[subject.workload]),
        need=need,
        memory=memory_axis(need),
        price=shadow_price(subject, again.memories) if again.memories else None,
        measured=measured(objectives, base=now),
        capacity=capacity,
        curves=curves(now, objectives, reasons),
        facts=record.facts[subject.workload],
        reasons={f"{resource} x {factor:g}": reason for (resource, factor), reason in reasons.items()},
    )


class _Runs:
    """Runs of a radar, some after the others; what was run once is not run again."""

    def __init__(self, *, jobs: int | None, store: Path | str | None, progress: Progress | None) -> None:
        self._jobs = jobs
        self._store = None if store is None else RunStore(store)
        self._progress = progress
        self._done: list[RunRecord] = []

    def all(self, scenarios: Sequence[Scenario]) -> list[RunRecord]:
        """Return the records of scenarios, in order."""
        records = run_all(scenarios, jobs=self._processes(), store=self._store, report=self._report)
        self._done += records
        return records

    def capacity(self, subject: Subject) -> CapacityElasticity | None:
        """Return what the highest load of a service depends on; None for what has none."""
        if not has_capacity(subject.scenario, subject.workload):
            return None
        return capacity_elasticity(
            subject.scenario, service=subject.workload, jobs=self._processes(), store=self._store
        )

    def _processes(self) -> int:
        """Return how many processes to take: one until it is known that runs are long."""
        if self._jobs is not None:
            return self._jobs
        longest_s = max((record.wall_s for record in self._done), default=0.0)
        return usable_cores() if longest_s > _WORTH_A_PROCESS_S else 1

    def _report(self, found: Mapping[str, RunRecord], count: int) -> None:
        if self._progress is None:
            return
        share = len(found) / max(count, 1)
        fraction = _FIRST * share if not self._done else _FIRST + (1.0 - _FIRST) * share
        self._progress(fraction, sum(record.simulated_s for record in (*self._done, *found.values())))
