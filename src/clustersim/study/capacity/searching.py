"""`capacity`: the highest load of a service that keeps its objectives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clustersim.errors import CannotRunError, InputError
from clustersim.spec.scenario import Scenario
from clustersim.study.capacity.bracket import Bracket
from clustersim.study.capacity.configuration import Configuration, configurations
from clustersim.study.capacity.point import LoadPoint, point_of
from clustersim.study.capacity.result import Capacity, Searched
from clustersim.study.capacity.service import share_of
from clustersim.study.executor import usable_cores
from clustersim.study.records import RunRecord, RunStore
from clustersim.study.running import run_all

__all__ = ["Progress", "capacity"]

Progress = Callable[[float, float], None]
"""Called with the fraction of the search that is done and the simulated seconds of all runs."""

_ALONE = 1.1
"""Mean batch at which requests are served one by one: where none is in time, a lower load will not help."""
_LOWEST_OF_CURVE = 0.2
_HIGHEST_OF_CURVE = 1.15
"""Range of the loads that latency is drawn over, in times of the capacity."""


def capacity(
    scenario: Scenario,
    *,
    service: str | None = None,
    attainment: float | None = None,
    vary: Mapping[str, Sequence[Any]] | None = None,
    tolerance: float = 0.02,
    seeds: int = 1,
    curve: int = 8,
    jobs: int | None = None,
    store: Path | str | None = None,
    progress: Progress | None = None,
) -> Capacity:
    """Search the highest load that keeps the objectives of a service.

    The load of the scenario is multiplied by a factor, all other workloads stay. All factors draw the same
    random numbers (common random numbers): the same requests, closer together or further apart.

    Parameters
    ----------
    service
        Name of the service. Default: the only one of the scenario.
    attainment
        Share of requests that have to keep every objective of the service's `slo`. Default: 0.99; of a
        ranking service what its `slo.percentile` says.
    vary
        Values by dotted path, e.g. `{"workloads.chat.parallelism.tensor": [1, 2, 4]}`: one search per
        combination.
    tolerance
        Relative width at which a search ends.
    seeds
        Runs per load, with seeds counted up from the scenario's own; their mean attainment counts.
    curve
        Loads that latency is measured at besides, spread over 0.2 to 1.15 of the capacity; 0 for none.
    jobs
        Processes at once. Default: one per core. The answer does not depend on it.
    store
        Folder that keeps finished runs; searching again continues where it stopped.
    progress
        Called after every run.

    Raises
    ------
    InputError
        If there is no such service, it has no objectives, or a number is out of range.
    CannotRunError
        If no configuration can run at all: why the first cannot.

    **Valid when** runs are long against the time that a queue takes to build up: close to its capacity a
    service answers the first requests in time even where it could not go on. A load at which the queue
    grows to the end of the run (metric `overloaded`) never counts as kept.
    **Checked by:** tests/study/test_capacity.py.

    Examples
    --------
    >>> import clustersim as cs
    >>> scenario = cs.load("scenarios/mobile-question-in-100-ms.yaml")
    >>> found = cs.capacity(scenario, attainment=0.99)  # doctest: +SKIP
    """
    variants = configurations(scenario, service=service, vary=vary or {})
    if attainment is None:
        attainment = share_of(next(variant for variant in variants if variant.scenario).spec)
    _check_numbers(attainment, tolerance, seeds, curve)
    searches = [_Search(variant, Bracket(tolerance=tolerance)) for variant in variants if variant.scenario]
    runs = _Runs(
        seeds=range(scenario.seed, scenario.seed + seeds),
        jobs=usable_cores() if jobs is None else jobs,
        store=None if store is None else RunStore(store),
        report=lambda simulated_s: progress and progress(_done(searches, curve), simulated_s),
    )
    while asked := [(search, factor) for search in searches if (factor := search.next_factor) is not None]:
        runs.evaluate(asked, attainment)
    runs.evaluate([(search, factor) for search in searches for factor in search.curve(curve)], attainment)
    if all(search.error and not search.points for search in searches):
        raise CannotRunError(searches[0].error)
    by_configuration = {id(search.configuration): search for search in searches}
    found = tuple(_searched(variant, by_configuration.get(id(variant))) for variant in variants)
    return Capacity(scenario=scenario, attainment=attainment, seeds=tuple(runs.seeds), searched=found)


def _check_numbers(attainment: float, tolerance: float, seeds: int, curve: int) -> None:
    if not 0.0 < attainment <= 1.0:
        raise InputError(f"'attainment' is a share of requests, above 0 and up to 1; got {attainment:g}")
    if not 1e-4 <= tolerance < 1.0:
        raise InputError(f"'tolerance' is from 0.0001 to below 1; got {tolerance:g}")
    if seeds < 1 or curve < 0:
        raise InputError(
            f"there has to be at least one seed and no less than 0 loads; got {seeds} and {curve}"
        )


@dataclass(eq=False)
class _Search:
    """One configuration, how far its search is and what was measured."""

    configuration: Configuration
    bracket: Bracket
    points: dict[float, LoadPoint] = field(default_factory=dict)
    error: str = ""

    @property
    def next_factor(self) -> float | None:
        return None if self.error else self.bracket.next_factor

    def curve(self, count: int) -> list[float]:
        """Loads that latency is drawn over, without those that are near one already measured."""
        if self.error or not self.bracket.kept or not count:
            return []
        wanted = self.bracket.kept * np.linspace(_LOWEST_OF_CURVE, _HIGHEST_OF_CURVE, count)
        known = list(self.points)
        return [float(x) for x in wanted if all(abs(x - y) > 0.02 * self.bracket.kept for y in known)]


def _done(searches: Sequence[_Search], curve: int) -> float:
    share = sum(1.0 if search.error else search.bracket.done for search in searches) / max(1, len(searches))
    return share * (0.8 if curve else 1.0)


def _searched(variant: Configuration, search: _Search | None) -> Searched:
    if search is None:
        return Searched(variant, 0.0, (), reason=variant.reason)
    points = tuple(search.points[factor] for factor in sorted(search.points))
    return Searched(variant, search.bracket.kept, points, reason=search.error)


def _batch(metrics: Mapping[str, float]) -> float:
    """Return the requests that were served together in the mean; infinite where it is not known."""
    return metrics.get("batch.mean", metrics.get("batch_queries.mean", math.inf))


class _Runs:
    """Runs that are asked for, on all cores, each kept as soon as it has ended."""

    def __init__(
        self, *, seeds: range, jobs: int, store: RunStore | None, report: Callable[[float], object]
    ) -> None:
        self.seeds = seeds
        self._jobs = jobs
        self._store = store
        self._report = report
        self._simulated_s = 0.0

    def evaluate(self, asked: Sequence[tuple[_Search, float]], attainment: float) -> None:
        """Run every seed at every load that is asked for, and tell the searches what they found."""
        wanted = [
            (search, factor, search.configuration.at(factor, seed))
            for search, factor in asked
            for seed in self.seeds
        ]
        records = self._records([scenario for _, _, scenario in wanted])
        for search, factor in asked:
            mine = [
                record
                for (owner, at, _), record in zip(wanted, records, strict=True)
                if owner is search and at == factor
            ]
            self._tell(search, factor, mine, attainment)
        self._report(self._simulated_s)

    def _tell(self, search: _Search, factor: float, records: Sequence[RunRecord], attainment: float) -> None:
        errors = [record.error for record in records if record.error]
        if errors:
            search.error = errors[0]
            return
        metrics = [record.metrics[search.configuration.service] for record in records]
        point = search.points[factor] = point_of(factor, metrics, attainment=attainment)
        search.bracket.tell(factor, kept=point.kept)
        if point.attainment == 0.0 and _batch(point.metrics) < _ALONE:
            search.bracket.give_up()

    def _records(self, scenarios: Sequence[Scenario]) -> list[RunRecord]:
        before_s = self._simulated_s

        def report(found: Mapping[str, RunRecord], count: int) -> None:
            self._simulated_s = before_s + sum(record.simulated_s for record in found.values())
            self._report(self._simulated_s)

        return run_all(scenarios, jobs=self._jobs, store=self._store, report=report)
