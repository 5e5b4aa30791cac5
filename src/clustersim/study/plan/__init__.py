"""Plan search: which layout of a model over a cluster is fastest, and why the others are not."""

from __future__ import annotations

from clustersim.study.plan.layouts import Candidate
from clustersim.study.plan.planning import plan
from clustersim.study.plan.result import Plan

__all__ = ["Candidate", "Plan", "plan"]
