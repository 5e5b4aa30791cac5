"""What `explain` found: each workload with the techniques that were tried on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from clustersim.results.attribution import by_class
from clustersim.spec.scenario import WorkloadSpec
from clustersim.study.explain.unit_cost import UnitCost
from clustersim.workloads.base import Outcome

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Explained", "Explanation", "Trial"]

_TIE = 1e-3
"""A technique that changes the time of devices by less than this helps nothing."""


@dataclass(frozen=True)
class Trial:
    """A technique with and without.

    Parameters
    ----------
    technique, words
        Its name, and what was changed.
    same_answers
        Whether the model answers, or learns, the same with it.
    is_on
        Whether the workload has it already, so that the other run was without it.
    without, having
        What a unit of work costs without it and with it; None where it could not be tried.
    reason
        Why not.
    """

    technique: str
    words: str
    same_answers: bool
    is_on: bool
    without: UnitCost | None = None
    having: UnitCost | None = None
    reason: str = ""

    def refused(self, reason: str) -> Self:
        """Return the trial with the reason that there is none."""
        return replace(self, reason=reason)

    def measured(self, here: UnitCost, other: UnitCost) -> Self:
        """Return the trial with both costs: as the workload is, and with the change."""
        return replace(self, without=other if self.is_on else here, having=here if self.is_on else other)

    @property
    def speed_up(self) -> float | None:
        """Time of devices per unit of work without the technique over that with it."""
        if self.without is None or self.having is None or self.having.device_s <= 0.0:
            return None
        return self.without.device_s / self.having.device_s

    @property
    def latency_ratio(self) -> float | None:
        """What others wait for, with the technique over without; None where it is not measured."""
        if self.without is None or self.having is None or self.without.latency_s <= 0.0:
            return None
        return self.having.latency_s / self.without.latency_s

    def document(self) -> dict[str, Any]:
        """Return it, JSON-able."""
        return {
            "technique": self.technique,
            "change": self.words,
            "is_on": self.is_on,
            "same_answers": self.same_answers,
            "speed_up": self.speed_up,
            "latency_ratio": self.latency_ratio,
            "reason": self.reason,
        }


@dataclass(frozen=True, eq=False)
class Explained:
    """One workload.

    Parameters
    ----------
    spec, outcome
        What the scenario says, and what the run was.
    scenario
        Name of the scenario.
    cost
        Of a unit of work as it is; None where its work cannot be counted.
    trials
        Techniques of its kind.
    """

    spec: WorkloadSpec
    outcome: Outcome
    scenario: str
    cost: UnitCost | None
    trials: tuple[Trial, ...]

    @property
    def name(self) -> str:
        """Name of the workload."""
        return self.outcome.name

    @property
    def bottleneck(self) -> Mapping[str, float]:
        """Share of each class of resources in its time, largest first."""
        return by_class(self.outcome.attribution)

    @property
    def ranking(self) -> tuple[Trial, ...]:
        """Trials that were measured: the largest speed-up first."""
        able = [trial for trial in self.trials if trial.speed_up is not None]
        return tuple(sorted(able, key=lambda trial: -(trial.speed_up or 0.0)))

    @property
    def best(self) -> Trial | None:
        """The technique that is not on yet and would help most; None where none would."""
        off = (trial for trial in self.ranking if not trial.is_on)
        found = next(off, None)
        return found if found is not None and (found.speed_up or 0.0) > 1.0 + _TIE else None

    def document(self) -> dict[str, Any]:
        """Return it, JSON-able."""
        cost = self.cost
        return {
            "workload": self.name,
            "kind": self.outcome.kind,
            "scenario": self.scenario,
            "metrics": dict(self.outcome.metrics),
            "facts": dict(self.outcome.facts),
            "device_s_per_unit": None if cost is None else cost.device_s,
            "usd_per_unit": None if cost is None else cost.usd,
            "joules_per_unit": None if cost is None else cost.joules,
            "bottleneck": dict(self.bottleneck),
            "techniques": [trial.document() for trial in self.trials],
        }


@dataclass(frozen=True, eq=False)
class Explanation:
    """All workloads, in the order of the scenarios."""

    workloads: tuple[Explained, ...]

    def __getitem__(self, name: str) -> Explained:
        """Return a workload by its name.

        Raises
        ------
        KeyError
            If there is none.
        """
        return next((each for each in self.workloads if each.name == name), None) or _missing(name)

    def frame(self) -> pd.DataFrame:
        """Return one row per workload and technique."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"workload": each.name, "kind": each.outcome.kind, **trial.document()}
                for each in self.workloads
                for trial in each.trials
            ]
        )

    def document(self) -> dict[str, Any]:
        """Return all of it, JSON-able."""
        return {"workloads": [each.document() for each in self.workloads]}

    def to_json(self) -> str:
        """Return `document()` as JSON text."""
        return json.dumps(self.document(), indent=1, ensure_ascii=False, allow_nan=False)

    def summary(self, *, width: int = 100) -> str:
        """Return the tables as text for the terminal."""
        from clustersim.report.explain import summary

        return summary(self, width=width)

    def save(self, directory: Path | str) -> Path:
        """Write `explain.json`, `summary.txt` and the trials as CSV.

        Raises
        ------
        InputError
            If the folder cannot be written.
        """
        from clustersim.study.keeping import keep

        return keep(
            directory,
            what="explanation",
            texts={"explain.json": self.to_json() + "\n", "summary.txt": self.summary()},
            frames={"techniques": self.frame()},
            pictures=(),
        )

    def __repr__(self) -> str:
        return f"<Explanation of {', '.join(each.name for each in self.workloads)}>"


def _missing(name: str) -> Explained:
    raise KeyError(name)
