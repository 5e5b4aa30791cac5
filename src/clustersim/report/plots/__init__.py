"""Pictures, one per file; each function takes a result and returns a figure, and shows nothing."""

from __future__ import annotations

from clustersim.report.plots.accessor import ComparisonPlots, ResultPlots

__all__ = ["ComparisonPlots", "ResultPlots"]
