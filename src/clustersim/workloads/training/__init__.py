"""Training jobs."""

from clustersim.workloads.training.data_parallel import TrainingWorkload

__all__ = ["TrainingWorkload"]
