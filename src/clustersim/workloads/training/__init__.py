"""Training jobs."""

from clustersim.workloads.training.workload import TrainingWorkload

__all__ = ["TrainingWorkload"]
