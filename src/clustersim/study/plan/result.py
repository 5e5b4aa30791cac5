"""What a plan search found: a ranking with reasons, the Pareto front, counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.spec.edit import plain
from clustersim.spec.scenario import Scenario
from clustersim.study.plan.layouts import FIELDS, Candidate
from clustersim.study.plan.pareto import pareto_front
from clustersim.study.plan.reasons import PARTS, reason
from clustersim.study.plan.search import Found

if TYPE_CHECKING:
    import pandas as pd

    from clustersim.report.plots.accessor import PlanPlots

__all__ = ["COLUMNS", "Plan"]

_METRICS = ("mfu", "samples_per_s", "tokens_per_s")

COLUMNS: Mapping[str, str] = {
    "rank": "place by simulated time, from 1; empty where not simulated",
    **dict.fromkeys(FIELDS, "of the layout"),
    "status": "simulated, pruned (by its bound), does not fit, or failed",
    "iteration_s": "simulated time of one optimizer step",
    "bound_s": "time that it cannot be shorter than",
    "memory_bytes": "on a GPU of the fullest stage",
    "network_bytes": "that leave nodes per iteration, over the GPUs",
    "pareto": "whether nothing is better in time, memory and network bytes together",
    **dict.fromkeys(_METRICS, "as the metric of a training job"),
    **{name: f"{words}: as the metric of a training job" for name, words in PARTS.items()},
    "reason": "where its time goes, against the best",
}
"""Columns of `Plan.to_frame` and `layouts.csv`."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Layouts of a job, ranked.

    Parameters
    ----------
    scenario
        Cluster, and what all layouts have in common.
    found
        All layouts by what became of them.
    memory_bytes
        Of a GPU.
    top, within
        As the search was asked for.
    """

    scenario: Scenario
    found: Found
    memory_bytes: float
    top: int
    within: float

    @property
    def best(self) -> Candidate:
        """The fastest layout."""
        return self.found.simulated[0]

    @property
    def ranking(self) -> tuple[Candidate, ...]:
        """The fastest layouts, best first."""
        return self.found.simulated[: self.top]

    @cached_property
    def pareto(self) -> tuple[Candidate, ...]:
        """Layouts that nothing beats in time, memory and network bytes together, fastest first."""
        limit_s = self.within * self.best.iteration_s
        return tuple(each for each in pareto_front(self.found.simulated) if each.iteration_s <= limit_s)

    @property
    def counts(self) -> dict[str, int]:
        """How many layouts were enumerated, and what became of them."""
        found = self.found
        return {
            "enumerated": found.enumerated,
            "cannot be divided": len(found.indivisible),
            "do not fit": len(found.unfit),
            "pruned": len(found.pruned),
            "simulated": len(found.simulated),
            "failed": len(found.failed),
        }

    @property
    def unfit_by_use(self) -> dict[str, int]:
        """What takes most of the memory of the layouts that do not fit: use to how many."""
        largest = (
            max(each.assessed.memory.items(), key=lambda item: item[1])[0] for each in self.found.unfit
        )
        return dict(Counter(largest).most_common())

    def reason(self, candidate: Candidate) -> str:
        """Return why a layout takes the time that it takes, or was not simulated."""
        if candidate.assessed.fate == "does not fit":
            use, size = max(candidate.assessed.memory.items(), key=lambda item: item[1])
            return (
                f"needs {candidate.assessed.memory_bytes / 2**30:.3g} GiB, of it {use} {size / 2**30:.3g} GiB"
            )
        if candidate.simulated is None:
            return f"at least {candidate.assessed.bound_s / self.best.iteration_s - 1:+.1%} by its bound"
        return candidate.simulated.error or reason(candidate, self.best)

    def scenario_of(self, candidate: Candidate, *, steps: int = 5) -> Scenario:
        """Return a scenario that runs a layout."""
        workload = plain(candidate.spec) | {"steps": steps}
        parallelism = {name: value for name, value in workload["parallelism"].items() if value is not None}
        data = plain(self.scenario)
        data["workloads"] = [{**workload, "parallelism": parallelism}]
        return Scenario.from_dict(data, base_dir=self.scenario.base_dir)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per layout that divides: `COLUMNS`."""
        import pandas as pd

        return pd.DataFrame([self._row(status, each) for status, each in self._all()], columns=list(COLUMNS))

    def document(self) -> dict[str, Any]:
        """Return counts, ranking and Pareto front, JSON-able; the same for the same search."""
        return {
            "job": plain(self.scenario.workloads[0]),
            "counts": self.counts,
            "memory_bytes": self.memory_bytes,
            "ranking": [self._entry(candidate) for candidate in self.ranking],
            "pareto": [self._entry(candidate) for candidate in self.pareto],
        }

    def to_json(self) -> str:
        """Return `document()` as JSON text."""
        return json.dumps(self.document(), indent=1, ensure_ascii=False)

    def summary(self, *, width: int = 100) -> str:
        """Return ranking, Pareto front and counts as text, at most `width` columns wide."""
        from clustersim.report.plan import summary

        return summary(self, width=width)

    @property
    def plot(self) -> PlanPlots:
        """Pictures: `plan.plot.trade_off()`."""
        from clustersim.report.plots.accessor import PlanPlots

        return PlanPlots(self)

    def save(self, directory: Path | str) -> Path:
        """Write `plan.json`, `layouts.csv`, `summary.txt`, `best.yaml` (a scenario) and the picture.

        Raises
        ------
        InputError
            If the folder cannot be written.
        """
        from clustersim.study.keeping import keep

        best = self.scenario_of(self.best).resolved_yaml(folder=Path(directory))
        return keep(
            directory,
            what="plan",
            texts={"plan.json": self.to_json() + "\n", "summary.txt": self.summary(), "best.yaml": best},
            frames={"layouts": self.to_frame()},
            pictures=self.plot.all(),
        )

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {words}" for words, number in self.counts.items() if number)
        return f"<Plan of {self.scenario.name}: {counts}; best {self.best.words}>"

    def _all(self) -> list[tuple[str, Candidate]]:
        found = self.found
        groups = {
            "simulated": found.simulated,
            "pruned": found.pruned,
            "does not fit": found.unfit,
            "failed": found.failed,
        }
        return [(status, each) for status, group in groups.items() for each in group]

    @cached_property
    def _ranks(self) -> dict[int, int]:
        return {each.number: rank for rank, each in enumerate(self.found.simulated, start=1)}

    @cached_property
    def _front(self) -> frozenset[int]:
        return frozenset(each.number for each in self.pareto)

    def _entry(self, candidate: Candidate) -> dict[str, Any]:
        return self._row("simulated", candidate) | {"words": candidate.words}

    def _row(self, status: str, candidate: Candidate) -> dict[str, Any]:
        assessed, simulated = candidate.assessed, candidate.simulated
        metrics = {} if simulated is None else simulated.metrics
        ran = status == "simulated"
        return {
            "rank": self._ranks.get(candidate.number),
            **candidate.layout,
            "status": status,
            "iteration_s": candidate.iteration_s if ran else None,
            "bound_s": assessed.bound_s if assessed.fate == "fits" else None,
            "memory_bytes": assessed.memory_bytes,
            "network_bytes": assessed.network_bytes if assessed.fate == "fits" else None,
            "pareto": candidate.number in self._front,
            **{name: metrics.get(name) for name in (*_METRICS, *PARTS)},
            "reason": self.reason(candidate),
        }
