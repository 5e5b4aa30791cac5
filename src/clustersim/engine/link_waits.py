"""How long links held workloads back: because they were full, or at the pace of a protocol."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LinkWait", "LinkWaits"]


@dataclass(slots=True)
class LinkWait:
    """Seconds in which one link held back one kind of traffic of one workload.

    Parameters
    ----------
    full_s
        The link was full: others, or the traffic itself, took all of it.
    protocol_s
        The link was the slowest of a collective that ran at the rate of its own protocol,
        which leaves part of every link unused. The link need not be full.
    until_s
        End of the last second that is counted.
    """

    full_s: float = 0.0
    protocol_s: float = 0.0
    until_s: float = 0.0


class LinkWaits:
    """Adds up, by workload, kind of traffic and link, the seconds that flows were held back.

    A second counts once: of flows that overlap in time, the later adds no more than the time
    since the earlier ended. So no sum is longer than the run.
    """

    def __init__(self) -> None:
        self.by_place: dict[tuple[str, str, int], LinkWait] = {}
        """(owner, traffic, link index) → seconds."""

    def add(
        self,
        owner: str,
        traffic: str,
        link: int,
        *,
        until_s: float,
        full_s: float = 0.0,
        protocol_s: float = 0.0,
    ) -> None:
        """Count what one flow waited until `until_s`; calls come in the order of that time.

        Both kinds of seconds of one flow belong into one call.
        """
        wait = self.by_place.get((owner, traffic, link))
        if wait is None:
            wait = self.by_place[owner, traffic, link] = LinkWait()
        asked_s = full_s + protocol_s
        if asked_s > 0.0:
            part = min(asked_s, max(until_s - wait.until_s, 0.0)) / asked_s
            wait.full_s += part * full_s
            wait.protocol_s += part * protocol_s
            wait.until_s = max(wait.until_s, until_s)
