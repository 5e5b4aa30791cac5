"""A training job over days: failures, checkpoints, restarts and spare nodes as an event simulation."""

from clustersim.workloads.training.reliability.account import Account, Stay
from clustersim.workloads.training.reliability.model import ReliabilityModel
from clustersim.workloads.training.reliability.simulation import Days, simulate_days

__all__ = ["Account", "Days", "ReliabilityModel", "Stay", "simulate_days"]
