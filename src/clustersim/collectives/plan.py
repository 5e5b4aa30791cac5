"""A collective as a plan: who sends how much to whom, and what each message waits for.

A plan is data, written once per algorithm. Three readers share it: the macro-flow
(`clustersim.collectives.macro_run`), the closed form (`clustersim.collectives.macro`) and the
expansion into messages (`clustersim.collectives.stepwise`). A fourth follows the data itself and
tells whether the algorithm is right (`clustersim.collectives.meaning`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clustersim.catalog.collectives import CollectiveCosts
from clustersim.errors import InputError

__all__ = [
    "CHUNKS",
    "Carries",
    "Connection",
    "NotApplicableError",
    "Payload",
    "Phase",
    "Plan",
    "exchange",
    "pipeline",
]

CHUNKS = 64
"""Chunks of a pipeline of more than one hop where nobody says otherwise: filling it adds
(hops - 1)/64 of the bytes' time."""


class NotApplicableError(InputError):
    """An algorithm that cannot run a kind of collective on a group; the text says why."""


@dataclass(slots=True, eq=False)
class Connection:
    """A one-way channel between two vertices, with its path; plans of a group share them.

    Parameters
    ----------
    links, weights
        Indices of the links that it crosses, and the bytes on each per byte of a message.
    multiplicity
        Transport connections that it consists of.
    latency_s
        Of its path.
    costs
        What the software over its slowest technology costs.
    number
        Tells the connections of a group apart: equal numbers are the same connection.
    """

    source: str
    target: str
    links: tuple[int, ...]
    weights: tuple[float, ...]
    multiplicity: int
    latency_s: float
    costs: CollectiveCosts
    number: int


class Payload(NamedTuple):
    """What a message means.

    Parameters
    ----------
    blocks
        Which of the plan's equal blocks of data it carries.
    reduces
        Whether they are added to what the receiver has, rather than replacing it.
    source, target
        Where the data is taken from and put, if not the connection's own ends: the shard of a
        GPU that its switch holds for it.
    """

    blocks: Sequence[int]
    reduces: bool = False
    source: str = ""
    target: str = ""


Carries = Callable[[int, int], Payload]
"""From the index of a connection in its phase and the number of a message to what that carries."""


@dataclass(frozen=True, slots=True, eq=False)
class Phase:
    """Connections that move bytes together.

    Message s of a connection waits until its own message s - 1 has left, and until message
    s - `lag` of each of its feeds has arrived. With a lag of 1 every rank passes on what came in
    the step before (rings); with 0 it passes on what comes now (pipelines of chunks: trees, chains;
    feeds are then listed before what they feed). Messages without feeds within the phase wait until
    their sender has entered it: has received and sent all of the phase before.

    Parameters
    ----------
    volumes
        For each connection the bytes of all its messages, as a fraction of the collective's size.
    messages
        For each connection the number of equal messages that this is sent in.
    feeds
        For each connection the indices of those that it waits for.
    carries
        What each message means. All messages of a pipeline mean the same: chunks of their blocks.
    counts_fill
        Whether the closed form adds the time in which the first chunk fills a pipeline.
    groups
        How many groups of ranks do the same in it side by side.
    """

    connections: tuple[Connection, ...]
    volumes: Sequence[float]
    messages: Sequence[int]
    feeds: Sequence[tuple[int, ...]]
    lag: int
    carries: Carries
    counts_fill: bool = False
    groups: int = 1

    @property
    def depth(self) -> int:
        """Connections on the longest path of a chunk; 1 where messages wait for none of their own step."""
        if self.lag:
            return 1
        depths: list[int] = []
        for feeds in self.feeds:
            depths.append(1 + max((depths[index] for index in feeds), default=0))
        return max(depths, default=0)


@dataclass(frozen=True, slots=True)
class Plan:
    """Phases that each rank goes through one after another.

    Parameters
    ----------
    algorithm
        Name of the algorithm that it is.
    family
        Which column of protocols of the cost table applies.
    blocks
        Equal blocks that payloads divide the data into. Blocks of one rank lie together: with B
        blocks rank r of N owns those from r·B/N to (r + 1)·B/N. In an all-to-all block s·N + t is
        what rank s has for rank t.
    """

    algorithm: str
    family: str
    phases: tuple[Phase, ...]
    blocks: int


def exchange(connections: Sequence[Connection], volumes: Sequence[float], carries: Carries) -> Phase:
    """Return the phase in which each connection carries one message and waits for no other."""
    count = len(connections)
    return Phase(tuple(connections), volumes, (1,) * count, ((),) * count, 1, carries)


def pipeline(
    connections: Sequence[Connection],
    volumes: Sequence[float],
    feeds: Sequence[tuple[int, ...]],
    carries: Carries,
    *,
    chunks: int | None = None,
) -> Phase:
    """Return the phase in which data flows from feed to fed chunk by chunk."""
    count = len(connections)
    passes_on = any(feeds)
    messages = (chunks or CHUNKS) if passes_on else 1
    counts_fill = chunks is not None and passes_on
    return Phase(tuple(connections), volumes, (messages,) * count, feeds, 0, carries, counts_fill)
