"""Ranking services: queries bring candidates, a ranking model gives them scores."""

from __future__ import annotations

from clustersim.workloads.ranking.inference.service import RankingInferenceWorkload

__all__ = ["RankingInferenceWorkload"]
