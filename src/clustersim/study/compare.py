"""Variants of a scenario, each with the same seeds, and what changed between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from clustersim.errors import CannotRunError, InputError
from clustersim.spec.scenario import Scenario
from clustersim.study.comparison import Comparison, Run
from clustersim.study.executor import usable_cores
from clustersim.study.records import RunRecord, RunStore
from clustersim.study.running import run_all

__all__ = ["Comparison", "compare"]

Progress = Callable[[float, float], None]
"""Called with the fraction of runs that are finished and their simulated seconds together."""


def compare(
    variants: Mapping[str, Scenario],
    *,
    seeds: int | Sequence[int] = 5,
    jobs: int | None = None,
    metrics: Sequence[str] | None = None,
    progress: Progress | None = None,
    store: Path | str | None = None,
) -> Comparison:
    """Run every variant with every seed; compare each with the first.

    All variants draw the same random numbers from the same seed (common random numbers), so
    that differences are differences of the system: arrivals and lengths are the same.

    Parameters
    ----------
    variants
        Name to scenario; the first is what the others are compared with.
    seeds
        How many, counted up from the first scenario's own; or the seeds.
    jobs
        Processes at once; 1 runs in this process. Default: one per core, at most one per run.
        The answer does not depend on it.
    metrics
        Metrics that the summary shows, e.g. `ttft_s.p99`. Default: the headline metrics of
        each kind. All metrics are compared in any case.
    progress
        Called with the fraction of runs that are finished, and their simulated seconds.
    store
        Folder that keeps finished runs; running again continues where it stopped, and runs
        again only what has changed.

    Returns
    -------
    Comparison
        Runs that failed are listed in `failures`; the others are kept.

    Raises
    ------
    InputError
        For fewer than two variants, no seed, or unknown metrics.
    CannotRunError
        If no run of some variant finished.
    """
    if len(variants) < 2:
        raise InputError(f"a comparison needs at least two variants, got {len(variants)}")
    numbers = _seeds(seeds, next(iter(variants.values())))
    plan = [(name, scenario.with_(seed=seed)) for seed in numbers for name, scenario in variants.items()]
    records = _records([scenario for _, scenario in plan], jobs, progress, store)
    runs = tuple(
        Run(name, scenario.seed, record) for (name, scenario), record in zip(plan, records, strict=True)
    )
    shown = None if metrics is None else tuple(metrics)
    comparison = Comparison(tuple(variants), numbers, runs, metrics=shown)
    _check_all_ran(comparison)
    return comparison


def _seeds(seeds: int | Sequence[int], first: Scenario) -> tuple[int, ...]:
    numbers = tuple(range(first.seed, first.seed + seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not numbers:
        raise InputError("a comparison needs at least one seed")
    if len(set(numbers)) < len(numbers):
        raise InputError(f"each seed counts once; got {', '.join(map(str, numbers))}")
    return numbers


def _records(
    scenarios: Sequence[Scenario], jobs: int | None, progress: Progress | None, store: Path | str | None
) -> list[RunRecord]:
    """Records of all scenarios, in order; each distinct one runs at most once."""

    def report(found: Mapping[str, RunRecord], count: int) -> None:
        if progress is not None:
            progress(len(found) / count, sum(record.simulated_s for record in found.values()))

    kept = None if store is None else RunStore(store)
    return run_all(scenarios, jobs=usable_cores() if jobs is None else jobs, store=kept, report=report)


def _check_all_ran(comparison: Comparison) -> None:
    for name in comparison.variants:
        failures = [run.record.error for run in comparison.failures if run.variant == name]
        if len(failures) == len(comparison.seeds):
            raise CannotRunError(f"no run of '{name}' finished: {failures[0]}")
