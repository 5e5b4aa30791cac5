"""A measured run beside its simulation: every percentile, and the distributions as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clustersim.errors import InputError
from clustersim.study.validation.framework import ValidationReport
from clustersim.study.validation.measured.measured_run import LATENCIES

__all__ = ["MeasuredRunReport"]

_TITLES = {
    "ttft_s": "time to first token",
    "tpot_s": "time per output token",
    "itl_s": "time between tokens",
    "e2e_s": "end to end",
}


@dataclass(frozen=True)
class MeasuredRunReport(ValidationReport):
    """Statistics of a run, measured and predicted.

    Parameters
    ----------
    notes
        Of the file and of the simulation.
    measured
        Samples of each latency, where the file has them.
    predicted, shares
        Values of each latency in the simulation, and the share of samples that are at most that.
    """

    notes: tuple[str, ...] = ()
    measured: Mapping[str, np.ndarray] = field(default_factory=dict)
    predicted: Mapping[str, np.ndarray] = field(default_factory=dict)
    shares: Mapping[str, np.ndarray] = field(default_factory=dict)

    def text(self) -> str:
        """Return the table for the terminal, errors by latency, and the notes."""
        return "\n".join([super().text(), *(f"note: {note}" for note in self.notes)])

    def plot(self, path: Path) -> None:
        """Draw the cumulative distributions; of a summary, the percentiles that it has.

        Raises
        ------
        InputError
            Where there is no latency to draw.
        """
        from matplotlib.figure import Figure

        groups = {row.group for row in self.rows}
        shown = [name for name in LATENCIES if name[:-2] in groups]
        if not shown:
            raise InputError("the run has no latencies to draw")
        figure = Figure(figsize=(4.2 * len(shown), 4.0), layout="constrained")
        for place, name in enumerate(shown, start=1):
            axes = figure.add_subplot(1, len(shown), place)
            predicted = self.predicted[name]
            axes.step(predicted, 100 * self.shares[name], where="post", color="#4477AA", label="predicted")
            axes.plot(*self._measured(name), color="#EE6677", label="measured")
            axes.set(xscale="log", xlabel=f"{_TITLES[name]} (s)", ylim=(0, 101))
            axes.grid(color="0.9", lw=0.7)
            axes.spines[["top", "right"]].set_visible(False)
            if place == 1:
                axes.set_ylabel("share that took no longer (%)")
                axes.legend(frameon=False, loc="lower right")
        figure.suptitle(self.title, x=0.01, ha="left", fontsize=10)
        figure.savefig(path, dpi=150)

    def _measured(self, name: str) -> tuple[np.ndarray, np.ndarray, str]:
        """Abscissas, ordinates and how they are drawn."""
        samples = self.measured.get(name)
        if samples is not None and len(samples):
            return np.sort(samples), 100 * np.arange(1, len(samples) + 1) / len(samples), "-"
        points = [
            (row.measured, float(row.id.partition(" p")[2]))
            for row in self.rows
            if row.group == name[:-2] and " p" in row.id
        ]
        values, levels = np.array(points, dtype=float).reshape(-1, 2).T
        return values, levels, "o"
