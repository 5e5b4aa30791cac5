"""Immutable outcome of a run: metrics, frames, attribution, what is kept on disk."""

from __future__ import annotations

from clustersim.results.attribution import Segment, by_class, critical_path, seconds_by_resource, shares
from clustersim.results.ending import Ending
from clustersim.results.fabric_report import FabricReport, LinkUse
from clustersim.results.result import Result

__all__ = [
    "Ending",
    "FabricReport",
    "LinkUse",
    "Result",
    "Segment",
    "by_class",
    "critical_path",
    "seconds_by_resource",
    "shares",
]
