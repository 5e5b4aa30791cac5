"""What changed between variants: paired over seeds, with a confidence interval."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.errors import InputError, did_you_mean
from clustersim.results.columns import FABRIC, metric_info
from clustersim.study.records import RunRecord
from clustersim.study.student import mean_interval

if TYPE_CHECKING:
    import pandas as pd

    from clustersim.report.plots import ComparisonPlots

__all__ = ["HEADLINES", "Change", "Comparison", "Run"]

CONFIDENCE = 0.95
ROUNDING = 1e-9
"""Relative changes below this are rounding, not a difference."""

HEADLINES: Mapping[str, tuple[str, ...]] = {
    "training": (
        "iteration_s.mean",
        "samples_per_s",
        "exposed_communication_s",
        "run_days",
        "run_energy_kwh",
        "run_price_usd",
    ),
    "inference": (
        "ttft_s.p50",
        "ttft_s.p99",
        "tpot_s.p50",
        "tpot_s.p99",
        "itl_s.p99",
        "e2e_s.p99",
        "requests_per_s",
        "output_tokens_per_s",
        "slo_attainment",
        "goodput_per_s",
        "usd_per_million_output_tokens",
    ),
    "ranking-training": (
        "iteration_s.mean",
        "samples_per_s",
        "embedding_s",
        "exposed_forward_s",
        "exposed_backward_s",
        "exposed_all_reduce_s",
        "host_s",
        "waiting_s",
        "embedding_imbalance",
        "memory_bytes",
        "run_days",
        "run_energy_kwh",
        "run_price_usd",
    ),
    "ranking-inference": (
        "latency_s.p50",
        "latency_s.p95",
        "latency_s.p99",
        "queue_s.p99",
        "queries_per_s",
        "samples_per_s",
        "slo_attainment",
        "goodput_per_s",
        "hit_rate",
        "utilization",
        "joules_per_query",
        "usd_per_million_queries",
        "push_latency_s.during.p99",
        "experiment_latency_s.mean.difference",
    ),
    "chakra": ("iteration_s.mean", "exposed_communication_s"),
    FABRIC: ("busiest_link_utilization.mean",),
}
"""Metrics that a summary shows, by kind; of other kinds all are shown."""


@dataclass(frozen=True, slots=True)
class Run:
    """One variant with one seed."""

    variant: str
    seed: int
    record: RunRecord


@dataclass(frozen=True, slots=True)
class Change:
    """How one metric of one workload differs between the first variant and another.

    Parameters
    ----------
    before, after
        Means over the seeds that both variants have.
    change, low, high
        Mean of the paired differences and its 95 % interval; no interval with one seed.
    relative, relative_low, relative_high
        Geometric mean of the ratios after/before, less 1, and its 95 % interval, from the
        logarithms of the ratios; None where a value is not positive.
    seeds
        Pairs.
    verdict
        `better` or `worse` by the direction of the metric, `changed` where it has none,
        `unclear` where the interval (the relative one, if there is one) holds 0, `one seed`
        where there is no interval, `no difference` where it is rounding at most.
    """

    workload: str
    metric: str
    unit: str
    variant: str
    before: float
    after: float
    change: float
    low: float | None
    high: float | None
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    seeds: int
    verdict: str


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs of several variants with the same seeds.

    Parameters
    ----------
    variants
        Names; the first is the reference.
    seeds
        That every variant ran with.
    runs
        All of them, failed ones too.
    metrics
        What the summary shows in place of the headline metrics.
    """

    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]
    metrics: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.metrics is not None:
            self.select(self.metrics)

    @property
    def failures(self) -> tuple[Run, ...]:
        """Runs without metrics; `record.error` says why."""
        return tuple(run for run in self.runs if run.record.error)

    @property
    def kinds(self) -> dict[str, str]:
        """Workload (and `fabric`) to its kind."""
        found = {name: kind for run in self.runs for name, kind in run.record.kinds.items()}
        return {**found, FABRIC: FABRIC}

    @property
    def interval_words(self) -> str:
        """How the intervals are to be read."""
        count = len(self.seeds)
        return f"95 % intervals over {count} seeds" if count > 1 else "one seed, so without intervals"

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """Every metric that both variants have, of every workload, for each further variant."""
        return tuple(change for variant in self.variants[1:] for change in self._changes_of(variant))

    def headline(self) -> list[Change]:
        """Return the changes that the summary shows."""
        if self.metrics is not None:
            return self.select(self.metrics)
        kinds = self.kinds
        return [
            change
            for change in self.changes
            if change.metric in HEADLINES.get(kinds[change.workload], (change.metric,))
        ]

    def select(self, metrics: Sequence[str]) -> list[Change]:
        """Return the changes of some metrics, of all workloads that have them.

        Raises
        ------
        InputError
            If no workload has a metric of this name.
        """
        known = {change.metric for change in self.changes}
        for metric in metrics:
            if metric not in known:
                raise InputError(f"no workload has a metric '{metric}'.{did_you_mean(metric, known)}")
        return [change for change in self.changes if change.metric in metrics]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per workload, metric and variant: `Change` as columns."""
        import pandas as pd

        return pd.DataFrame([asdict(change) for change in self.changes], columns=list(Change.__slots__))

    def runs_frame(self) -> pd.DataFrame:
        """Return one row per run and metric: variant, seed, workload, metric, value."""
        import pandas as pd

        rows = [
            (run.variant, run.seed, workload, metric, value)
            for run in self.runs
            for workload, metrics in run.record.metrics.items()
            for metric, value in metrics.items()
        ]
        return pd.DataFrame(rows, columns=["variant", "seed", "workload", "metric", "value"])

    def document(self) -> dict[str, Any]:
        """Return all of it, JSON-able."""
        return {
            "variants": list(self.variants),
            "seeds": list(self.seeds),
            "confidence": CONFIDENCE,
            "changes": [asdict(change) for change in self.changes],
            "runs": [{"variant": run.variant, **asdict(run.record)} for run in self.runs],
            "failures": [
                {"variant": run.variant, "seed": run.seed, "error": run.record.error} for run in self.failures
            ],
        }

    def to_json(self) -> str:
        """Return `document()` as JSON text."""
        return json.dumps(self.document(), indent=1, ensure_ascii=False)

    def summary(self, *, width: int = 100) -> str:
        """Return the headline metrics as a table for the terminal, at most `width` columns wide."""
        from clustersim.report.comparison import summary

        return summary(self, width=width)

    @property
    def plot(self) -> ComparisonPlots:
        """Pictures: `comparison.plot.change()`."""
        from clustersim.report.plots import ComparisonPlots

        return ComparisonPlots(self)

    def save(self, directory: Path | str) -> Path:
        """Write `comparison.json`, `changes.csv`, `runs.csv`, `summary.txt` and the picture.

        Raises
        ------
        InputError
            If the folder cannot be written.
        """
        from clustersim.study.keeping import keep

        return keep(
            directory,
            what="comparison",
            texts={"comparison.json": self.to_json() + "\n", "summary.txt": self.summary()},
            frames={"changes": self.to_frame(), "runs": self.runs_frame()},
            pictures=self.plot.all(),
        )

    def _repr_html_(self) -> str:
        from clustersim.report.html import comparison_card

        return comparison_card(self)

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(self.variants)}: {len(self.seeds)} seeds, {len(self.runs)} runs>"

    def _changes_of(self, variant: str) -> Iterator[Change]:
        before, after = self._values(self.variants[0]), self._values(variant)
        kinds = self.kinds
        for (workload, metric), by_seed in before.items():
            others = after.get((workload, metric), {})
            pairs = [
                (by_seed[seed], others[seed]) for seed in self.seeds if seed in by_seed and seed in others
            ]
            if pairs:
                yield _change(workload, metric, kinds[workload], variant, pairs)

    def _values(self, variant: str) -> dict[tuple[str, str], dict[int, float]]:
        """Values of one variant by workload and metric, then by seed."""
        values: dict[tuple[str, str], dict[int, float]] = {}
        for run in self.runs:
            if run.variant == variant:
                for workload, metrics in run.record.metrics.items():
                    for metric, value in metrics.items():
                        values.setdefault((workload, metric), {})[run.seed] = value
        return values


def _change(
    workload: str, metric: str, kind: str, variant: str, pairs: Sequence[tuple[float, float]]
) -> Change:
    info = metric_info(kind, metric)
    before = sum(first for first, _ in pairs) / len(pairs)
    after = sum(second for _, second in pairs) / len(pairs)
    change, low, high = absolute = _interval([second - first for first, second in pairs])
    ratio = _relative_interval(pairs)
    relative, relative_low, relative_high = ratio or (None, None, None)
    rounding = abs(change) <= ROUNDING * abs(before)
    verdict = "no difference" if rounding else _verdict(info.better, *(ratio or absolute))
    return Change(
        workload, metric, info.unit, variant, before, after,
        change, low, high, relative, relative_low, relative_high,
        seeds=len(pairs), verdict=verdict,
    )  # fmt: skip


Interval = tuple[float, float | None, float | None]
"""A mean with the ends of its interval; no ends with one value."""


def _interval(values: Sequence[float]) -> Interval:
    return mean_interval(values, confidence=CONFIDENCE) if len(values) > 1 else (values[0], None, None)


def _relative_interval(pairs: Sequence[tuple[float, float]]) -> Interval | None:
    if any(first <= 0 or second <= 0 for first, second in pairs):
        return None
    middle, low, high = _interval([math.log(second / first) for first, second in pairs])
    if low is None or high is None:
        return math.expm1(middle), None, None
    return math.expm1(middle), math.expm1(low), math.expm1(high)


def _verdict(better: str, change: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "one seed"
    if low <= 0 <= high:
        return "unclear"
    if better == "neither":
        return "changed"
    return "better" if (change < 0) == (better == "lower") else "worse"
