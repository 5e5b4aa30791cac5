"""Collectives over the fabric: rings, trees, hierarchies, in-switch reduction, and one's own algorithms."""

from __future__ import annotations

from clustersim.collectives.communicator import CollectiveRecord, Communicator
from clustersim.collectives.lockstep import LockstepCommunicator
from clustersim.collectives.msccl import MscclProgram
from clustersim.collectives.step_list import StepList
from clustersim.collectives.user_algorithm import read_algorithm

__all__ = [
    "CollectiveRecord",
    "Communicator",
    "LockstepCommunicator",
    "MscclProgram",
    "StepList",
    "read_algorithm",
]
