"""Rounds of messages of a user's algorithm as phases: equal rounds one after another become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clustersim.collectives.group import Group
from clustersim.collectives.plan import Payload, Phase

__all__ = ["Sent", "round_phases"]

_NOTHING = Payload(())


class Sent(NamedTuple):
    """One message of a round.

    Parameters
    ----------
    channel
        Tells apart connections of one pair that may take different paths.
    volume
        Its bytes, as a fraction of the collective's size.
    means
        What it carries; nothing where the algorithm was checked before.
    """

    source: int
    target: int
    channel: int
    volume: float
    means: Payload = _NOTHING


def round_phases(group: Group, rounds: Sequence[Sequence[Sent]]) -> tuple[Phase, ...]:
    """Return the phases of rounds that each rank goes through at its own pace.

    Rounds in which the same ranks send each other the same number of bytes are one phase of lag 1: the
    ring that a user writes down is the phase that `clustersim.collectives.ring` makes.
    """
    phases: list[Phase] = []
    alike: list[list[Sent]] = []
    for messages in rounds:
        ordered = sorted(messages, key=_who)
        if alike and list(map(_who, ordered)) != list(map(_who, alike[0])):
            phases.append(_phase(group, alike))
            alike = []
        alike.append(ordered)
    if alike:
        phases.append(_phase(group, alike))
    return tuple(phases)


def _who(message: Sent) -> tuple[int, int, int, float]:
    return message[:4]


def _phase(group: Group, alike: Sequence[Sequence[Sent]]) -> Phase:
    first, count = alike[0], len(alike)
    arriving: dict[int, list[int]] = {}
    for index, message in enumerate(first):
        arriving.setdefault(message.target, []).append(index)
    return Phase(
        tuple(
            group.connect(group.gpus[message.source], group.gpus[message.target], channel=message.channel)
            for message in first
        ),
        [message.volume * count for message in first],
        (count,) * len(first),
        [tuple(arriving.get(message.source, ())) if count > 1 else () for message in first],
        1,
        lambda index, step: alike[step][index].means,
    )
