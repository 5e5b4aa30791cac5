"""What a study of days says: shares of the time with their intervals, the best interval, tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clustersim.spec.scenario import Scenario
from clustersim.study.goodput_intervals import (
    IntervalPoint,
    best_point,
    closed_form_goodput,
    closed_form_intervals,
)
from clustersim.study.student import mean_interval
from clustersim.workloads.training.reliability import Days, ReliabilityModel
from clustersim.workloads.training.reliability.account import USES
from clustersim.workloads.training.reliability.checkpoint import CheckpointCost

if TYPE_CHECKING:
    import pandas as pd

    from clustersim.report.plots.goodput import GoodputPlots

__all__ = ["Estimate", "Goodput", "GoodputJob"]

DAY_S = 86400.0


class Estimate(NamedTuple):
    """A mean over seeds with its 95 % interval; no interval with one seed."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, eq=False, kw_only=True)
class GoodputJob:
    """The job that was simulated.

    Parameters
    ----------
    tokens_per_sample
        None for models that have no tokens.
    record
        Of the catalogue, that what the scenario leaves open is from.
    """

    name: str
    gpus: int
    samples_per_iteration: int
    tokens_per_sample: int | None
    record: str
    checkpoint: CheckpointCost
    model: ReliabilityModel

    @property
    def product(self) -> str:
        """What the job is paid for: `tokens` or `samples`."""
        return "samples" if self.tokens_per_sample is None else "tokens"

    @property
    def product_per_day(self) -> float:
        """Tokens or samples in a day without interruption or checkpoint."""
        per_iteration = self.samples_per_iteration * (self.tokens_per_sample or 1)
        return per_iteration * DAY_S / self.model.iteration_s


@dataclass(frozen=True, eq=False, kw_only=True)
class Goodput:
    """Days of one job, with several seeds.

    Parameters
    ----------
    days
        Length of each period.
    runs
        One per seed.
    points
        The sweep over intervals; empty where there was none.
    """

    scenario: Scenario
    job: GoodputJob
    days: float
    runs: tuple[Days, ...]
    points: tuple[IntervalPoint, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """That the periods were simulated with."""
        return tuple(run.seed for run in self.runs)

    def metrics(self) -> dict[str, Estimate]:
        """Return goodput, what the time went to as shares of it, counts, and tokens (samples) per day."""
        rows = self._rows()
        return {name: _estimate([row[name] for row in rows]) for name in rows[0] if name != "seed"}

    @property
    def closed_form(self) -> float | None:
        """Daly's expected goodput at the scenario's interval; None for asynchronous checkpoints."""
        return closed_form_goodput(self.job.model)

    @property
    def best(self) -> IntervalPoint | None:
        """The best interval of the sweep."""
        return best_point(self.points)

    def intervals(self) -> dict[str, float]:
        """Return seconds between checkpoints: the scenario's, Young's, Daly's, the best simulated."""
        found = {"scenario": self.job.model.interval_s, **closed_form_intervals(self.job.model)}
        return found if self.best is None else {**found, "simulated": self.best.interval_s}

    def runs_frame(self) -> pd.DataFrame:
        """Return one row per seed: every metric."""
        import pandas as pd

        return pd.DataFrame(self._rows())

    def intervals_frame(self) -> pd.DataFrame:
        """Return one row per interval of the sweep: `IntervalPoint` as columns."""
        import pandas as pd

        return pd.DataFrame([asdict(point) for point in self.points], columns=list(_POINT_COLUMNS))

    def timeline_frame(self) -> pd.DataFrame:
        """Return one row per phase of every period: seed, phase, start, end, and what it went to."""
        import pandas as pd

        rows = [
            {
                "seed": run.seed,
                "phase": stay.phase,
                "start_s": stay.start_s,
                "end_s": stay.end_s,
                **{use: getattr(stay.account, use) for use in USES},
            }
            for run in self.runs
            for stay in run.stays
        ]
        return pd.DataFrame(rows)

    def document(self) -> dict[str, Any]:
        """Return all of it but the phases, JSON-able; what is infinite is null."""
        return {
            "scenario": self.scenario.name,
            "workload": self.job.name,
            "days": self.days,
            "seeds": list(self.seeds),
            "job": _job_document(self.job),
            "metrics": {name: estimate._asdict() for name, estimate in self.metrics().items()},
            "closed_form_goodput": self.closed_form,
            "interval_s": {name: _finite(value) for name, value in self.intervals().items()},
            "intervals": [asdict(point) for point in self.points],
            "runs": self._rows(),
        }

    def to_json(self) -> str:
        """Return `document()` as JSON text."""
        return json.dumps(self.document(), indent=1, ensure_ascii=False, allow_nan=False)

    def summary(self, *, width: int = 100) -> str:
        """Return the findings as text for the terminal."""
        from clustersim.report.goodput import summary

        return summary(self, width=width)

    @property
    def plot(self) -> GoodputPlots:
        """Pictures: `goodput.plot.interval()`, `goodput.plot.timeline()`."""
        from clustersim.report.plots.goodput import GoodputPlots

        return GoodputPlots(self)

    def save(self, directory: Path | str) -> Path:
        """Write `goodput.json`, `summary.txt`, the tables as CSV, and the pictures.

        Raises
        ------
        InputError
            If the folder cannot be written.
        """
        from clustersim.study.keeping import keep

        return keep(
            directory,
            what="study",
            texts={"goodput.json": self.to_json() + "\n", "summary.txt": self.summary()},
            frames={
                "runs": self.runs_frame(),
                "intervals": self.intervals_frame(),
                "timeline": self.timeline_frame(),
            },
            pictures=self.plot.all(),
        )

    def __repr__(self) -> str:
        return f"<Goodput of {self.job.name}: {self.days:g} days, {len(self.runs)} seeds>"

    def _rows(self) -> list[dict[str, float]]:
        return [self._row(run) for run in self.runs]

    def _row(self, run: Days) -> dict[str, float]:
        shares = {use.removesuffix("_s"): getattr(run.account, use) / run.days_s for use in USES}
        return {
            "seed": run.seed,
            "goodput": run.goodput,
            **{f"{name}_share": share for name, share in shares.items()},
            "failures": len(run.failures),
            "node_failures": run.node_failures,
            "restarts": run.restarts,
            f"{self.job.product}_per_day": run.goodput * self.job.product_per_day,
        }


_POINT_COLUMNS = tuple(IntervalPoint.__dataclass_fields__)


def _estimate(values: Sequence[float]) -> Estimate:
    return Estimate(*mean_interval(values)) if len(values) > 1 else Estimate(values[0], None, None)


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None


def _job_document(job: GoodputJob) -> dict[str, Any]:
    model = job.model
    return {
        "gpus": job.gpus,
        "nodes": model.nodes,
        "spares": model.spares,
        "blocks": len(model.blocks),
        "record": job.record,
        "iteration_s": model.iteration_s,
        f"{job.product}_per_iteration": job.samples_per_iteration * (job.tokens_per_sample or 1),
        "mtbf_s": _finite(model.mtbf_s),
        "steps_between_checkpoints": model.steps,
        "checkpoint": asdict(job.checkpoint),
        "detection_s": model.detection_s,
        "restart_s": model.restart_s,
        "repair_s": model.repair_s,
    }
