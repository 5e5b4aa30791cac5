"""Training of ranking models."""

from clustersim.workloads.ranking.training.workload import RankingTrainingWorkload

__all__ = ["RankingTrainingWorkload"]
