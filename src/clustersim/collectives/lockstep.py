"""Groups of equal size that run every collective side by side, as one macro-flow per phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import simpy

from clustersim.collectives.communicator import Communicator
from clustersim.engine.fabric import DEFAULT_TRAFFIC
from clustersim.engine.trace import NO_CAUSE
from clustersim.errors import InputError

if TYPE_CHECKING:
    from clustersim.collectives.user_algorithm import UserAlgorithm
    from clustersim.engine.fabric import TrafficClass
    from clustersim.engine.world import World

__all__ = ["LockstepCommunicator"]


class LockstepCommunicator(Communicator):
    """Runs the same collective in several groups at once, phase by phase in lockstep.

    Sizes, roots and matrices are those of one group, the same in all. A phase ends when all groups are
    done with it: it is one fluid variable x, the rate of one connection of any group, with
    ``Σ_groups w_l·x`` on link l. One group is a `Communicator`, to the bit; k groups on links of their own
    take as long as one, and k groups that share a link k times the bandwidth part.

    Parameters
    ----------
    groups
        Ranks of each group in order; no GPU is in two groups, but pairs may share ends.

    Other parameters are those of `Communicator`.

    Raises
    ------
    InputError
        As `Communicator`; for groups of unequal sizes or with a common GPU, and on a collective for
        which the algorithm that is named makes different phases of the groups.

    **Valid when** the groups are in lockstep anyway: they begin at the same time, and whoever uses
    the result waits for all of them. Groups of unlike shape or route that would be done earlier do not
    give back what they leave unused before the phase ends.
    **Checked by:** tests/collectives/test_lockstep.py.
    """

    def __init__(
        self,
        world: World,
        groups: Sequence[Sequence[str]],
        *,
        owner: str,
        algorithm: str | UserAlgorithm = "auto",
        fidelity: Literal["macro", "stepwise"] = "macro",
        lane: str = "collectives",
        channels: int | None = None,
        chunks: int | None = None,
        traffic: TrafficClass = DEFAULT_TRAFFIC,
        part: str = "",
    ) -> None:
        if not groups:
            raise InputError("a lockstep communicator needs at least one group")
        super().__init__(
            world,
            groups[0],
            owner=owner,
            algorithm=algorithm,
            fidelity=fidelity,
            lane=lane,
            channels=channels,
            chunks=chunks,
            traffic=traffic,
            part=part,
            beside=groups[1:],
        )

    def send(
        self, size_bytes: float, *, repeat: int = 1, cause: int = NO_CAUSE, label: str = "send"
    ) -> simpy.Event:
        """Send a buffer from the first rank of each group to its second, all side by side."""
        return self.send_recv(size_bytes, source=0, target=1, repeat=repeat, cause=cause, label=label)
