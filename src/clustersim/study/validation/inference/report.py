"""Errors of serving predictions, by table and kind of figure."""

from __future__ import annotations

from clustersim.study.validation.framework import ValidationReport

__all__ = ["GOALS", "InferenceReport"]

GOALS = {"first_tokens": 0.10, "tpot": 0.10, "output_tokens/s": 0.15, "requests/s": 0.15, "ttft": 0.20}
"""Mean absolute errors that the model is meant to keep, by figure; percentiles of TTFT as `ttft`."""


class InferenceReport(ValidationReport):
    """All rows, errors by table and figure, and errors by figure beside their goal."""

    def summary_lines(self) -> list[str]:
        """Error by table, then by figure beside the goal."""
        lines = super().summary_lines()
        figures: dict[str, list[float]] = {}
        for row in self.modelled:
            figures.setdefault(row.group.rpartition(": ")[2], []).append(row.error or 0.0)
        lines += ["", f"{'figure':<18} {'rows':>5} {'mean':>8} {'worst':>8} {'signed':>8}   goal (mean)"]
        for figure, errors in figures.items():
            sizes = [abs(error) for error in errors]
            goal = next((value for name, value in GOALS.items() if figure.startswith(name)), None)
            lines.append(
                f"{figure:<18} {len(sizes):>5} {sum(sizes) / len(sizes):>8.1%} {max(sizes):>8.1%} "
                f"{sum(errors) / len(errors):>+8.1%}   {f'{goal:.0%}' if goal else '-'}"
            )
        return lines
