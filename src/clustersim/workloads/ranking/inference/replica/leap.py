"""From the begin of a batch to its end in one event, where nothing can come in between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from clustersim.workloads.ranking.inference.replica.channel import Channel, Message
from clustersim.workloads.ranking.inference.replica.profile import BatchProfile
from clustersim.workloads.ranking.inference.replica.worker import Worker

__all__ = ["Leap", "leap_of"]


class _LeaptCopy(NamedTuple):
    channel: Channel
    message: Message
    own_before_s: float
    network_before_s: float
    seconds: float


class Leap:
    """The time of all steps of a profile on one worker that has its device and links to itself."""

    __slots__ = ("_all_shares", "_copies", "network_s", "own_s", "shares")

    def __init__(self) -> None:
        self.own_s = 0.0
        """Of host and device."""
        self.network_s = 0.0
        """Of copies."""
        self.shares: dict[str, float] = {}
        """The latter by resource."""
        self._copies: list[_LeaptCopy] = []
        self._all_shares: Mapping[str, float] | None = None

    def copy(self, channel: Channel, message: Message) -> None:
        """Add a copy."""
        seconds, shares = channel.alone(message)
        self._copies.append(_LeaptCopy(channel, message, self.own_s, self.network_s, seconds))
        self.network_s += seconds
        for resource, value in shares.items():
            self.shares[resource] = self.shares.get(resource, 0.0) + value

    def all_shares(self, own: Mapping[str, float], factor: float) -> Mapping[str, float]:
        """Return the seconds of a batch by resource, `own` those of host and device without the factor."""
        if factor == 1.0 and self._all_shares is not None:
            return self._all_shares
        shares = {resource: factor * seconds for resource, seconds in own.items()}
        for resource, seconds in self.shares.items():
            shares[resource] = shares.get(resource, 0.0) + seconds
        if factor == 1.0:
            self._all_shares = shares
        return shares

    def account(self, start_s: float, factor: float) -> None:
        """Book the bytes of the copies of one batch that began at `start_s`."""
        for each in self._copies:
            begin_s = start_s + each.own_before_s * factor + each.network_before_s
            each.channel.account(each.message, begin_s, begin_s + each.seconds)


def leap_of(profile: BatchProfile, worker: Worker) -> Leap | None:
    """Return the closed form of a batch on a worker; None where only the simulation can tell.

    That is where other workers use its device, others its links, or a step depends on them.

    **Valid when** nobody begins to use its links while a batch is on its way; the next batch sees them.
    **Checked by:** tests/workloads/ranking/test_ranking_inference_batching.py.
    """
    if not (worker.alone and all(channel.private for channel in worker.channels.values())):
        return None
    if profile.number not in worker.leaps:
        leap = Leap()
        closed = all(step.leap(leap, worker) for step in profile.steps)
        worker.leaps[profile.number] = leap if closed else None
    return worker.leaps[profile.number]
