"""What a capacity study found: the highest load of each configuration, and latency over load."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.spec.scenario import Scenario
from clustersim.study.capacity.configuration import Configuration
from clustersim.study.capacity.point import LoadPoint
from clustersim.study.capacity.service import answered_per_s

if TYPE_CHECKING:
    import pandas as pd

    from clustersim.report.plots.capacity import CapacityPlots

__all__ = ["Capacity", "Searched"]


@dataclass(frozen=True, eq=False)
class Searched:
    """One configuration.

    Parameters
    ----------
    configuration
        What was varied.
    factor
        The highest factor on the scenario's load that keeps the objectives; 0 where none does.
    points
        Every load that was simulated, lowest first.
    reason
        Why it could not run, or which failed run ended its search; empty where none did.
    """

    configuration: Configuration
    factor: float
    points: tuple[LoadPoint, ...]
    reason: str = ""

    @property
    def best(self) -> LoadPoint | None:
        """What was measured at the highest load that is kept."""
        return next((point for point in self.points if point.factor == self.factor), None)

    @property
    def requests_per_s(self) -> float:
        """Requests answered per second at the highest load that is kept; 0 where none is."""
        return 0.0 if self.best is None else answered_per_s(self.best.metrics)

    @property
    def usd_per_million_requests(self) -> float | None:
        """Price of the GPUs over the requests answered, at the highest load; None without a price."""
        price_per_h = None if self.best is None else self.best.metrics.get("price_usd_per_h")
        if price_per_h is None or self.requests_per_s <= 0.0:
            return None
        return 1e6 * price_per_h / (3600.0 * self.requests_per_s)


@dataclass(frozen=True, eq=False, kw_only=True)
class Capacity:
    """Searches of one service.

    Parameters
    ----------
    attainment
        Share of requests that have to keep the objectives.
    seeds
        Of the runs at each load.
    searched
        In the order of the combinations.
    """

    scenario: Scenario
    attainment: float
    seeds: tuple[int, ...]
    searched: tuple[Searched, ...]

    @property
    def service(self) -> str:
        """Name of the service."""
        return self.searched[0].configuration.service

    @property
    def ranking(self) -> tuple[Searched, ...]:
        """Configurations that keep the objectives at some load: cheapest per request first; by capacity
        where there are no prices."""
        able = [each for each in self.searched if each.best is not None]
        costs = [each.usd_per_million_requests for each in able]
        keys = [-each.requests_per_s for each in able] if None in costs else costs
        order = sorted(range(len(able)), key=lambda place: keys[place] or 0.0)
        return tuple(able[place] for place in order)

    @property
    def best(self) -> Searched | None:
        """The first of the ranking."""
        return next(iter(self.ranking), None)

    def frame(self) -> pd.DataFrame:
        """Return one row per configuration: factor, attainment and all metrics at its capacity."""
        import pandas as pd

        return pd.DataFrame([_row(each) for each in self.searched])

    def points_frame(self) -> pd.DataFrame:
        """Return one row per configuration and load: factor, attainment, whether it is kept, all metrics."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"configuration": each.configuration.name, **_point_document(point)}
                for each in self.searched
                for point in each.points
            ]
        )

    def document(self) -> dict[str, Any]:
        """Return all of it, JSON-able."""
        return {
            "scenario": self.scenario.name,
            "service": self.service,
            "attainment": self.attainment,
            "seeds": list(self.seeds),
            "configurations": [
                {
                    "name": each.configuration.name,
                    "changes": dict(each.configuration.changes),
                    "factor": each.factor,
                    "requests_per_s": each.requests_per_s,
                    "reason": each.reason,
                    "points": [_point_document(point) for point in each.points],
                }
                for each in self.searched
            ],
        }

    def to_json(self) -> str:
        """Return `document()` as JSON text."""
        return json.dumps(self.document(), indent=1, ensure_ascii=False, allow_nan=False, default=str)

    def summary(self, *, width: int = 100) -> str:
        """Return the findings as text for the terminal."""
        from clustersim.report.capacity import summary

        return summary(self, width=width)

    @property
    def plot(self) -> CapacityPlots:
        """Pictures: `capacity.plot.latency()`."""
        from clustersim.report.plots.capacity import CapacityPlots

        return CapacityPlots(self)

    def save(self, directory: Path | str) -> Path:
        """Write `capacity.json`, `summary.txt`, the tables as CSV, and the pictures.

        Raises
        ------
        InputError
            If the folder cannot be written.
        """
        from clustersim.study.keeping import keep

        return keep(
            directory,
            what="study",
            texts={"capacity.json": self.to_json() + "\n", "summary.txt": self.summary()},
            frames={"configurations": self.frame(), "loads": self.points_frame()},
            pictures=self.plot.all(),
        )

    def __repr__(self) -> str:
        return f"<Capacity of {self.service}: {len(self.searched)} configurations>"


def _row(each: Searched) -> dict[str, Any]:
    best = {} if each.best is None else _point_document(each.best)
    return {"configuration": each.configuration.name, "factor": each.factor, "reason": each.reason, **best}


def _point_document(point: LoadPoint) -> dict[str, Any]:
    return {
        "factor": point.factor,
        "attainment": point.attainment,
        "overloaded": point.overloaded,
        "kept": point.kept,
        **point.metrics,
    }
