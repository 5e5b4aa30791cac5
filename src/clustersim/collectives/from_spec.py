"""Communicators as a scenario asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.collectives.communicator import Communicator
from clustersim.collectives.lockstep import LockstepCommunicator
from clustersim.collectives.user_algorithm import UserAlgorithm, read_algorithm

if TYPE_CHECKING:
    from clustersim.engine.world import World
    from clustersim.spec.training import CollectiveSpec

__all__ = ["communicator_for", "lockstep_for"]


def communicator_for(
    spec: CollectiveSpec,
    world: World,
    gpus: Sequence[str],
    *,
    owner: str,
    lane: str,
    base: Path | None = None,
    **options: Any,
) -> Communicator:
    """Return a communicator with the algorithm, fidelity, channels and chunks of a scenario.

    Parameters
    ----------
    base
        Folder that the path of a schedule is relative to.
    options
        What else `Communicator` takes.

    Raises
    ------
    InputError
        As `Communicator` and `read_algorithm`.
    """
    return Communicator(world, gpus, owner=owner, lane=lane, **_fields(spec, base), **options)


def lockstep_for(
    spec: CollectiveSpec,
    world: World,
    groups: Sequence[Sequence[str]],
    *,
    owner: str,
    lane: str,
    base: Path | None = None,
    **options: Any,
) -> LockstepCommunicator:
    """Return the same for groups that run each collective side by side.

    `options` come before what the scenario says.

    Raises
    ------
    InputError
        As `LockstepCommunicator` and `read_algorithm`.
    """
    return LockstepCommunicator(world, groups, owner=owner, lane=lane, **{**_fields(spec, base), **options})


def _fields(spec: CollectiveSpec, base: Path | None) -> dict[str, Any]:
    algorithm: str | UserAlgorithm = spec.algorithm
    if spec.schedule is not None:
        algorithm = read_algorithm((base or Path()) / spec.schedule)
    return {
        "algorithm": algorithm,
        "fidelity": spec.fidelity,
        "channels": spec.channels,
        "chunks": spec.chunks,
    }
