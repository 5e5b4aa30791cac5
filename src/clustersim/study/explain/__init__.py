"""What each workload of a scenario is about, and which technique would help it most, by measurement."""

from __future__ import annotations

from clustersim.study.explain.explaining import explain
from clustersim.study.explain.result import Explained, Explanation, Trial

__all__ = ["Explained", "Explanation", "Trial", "explain"]
