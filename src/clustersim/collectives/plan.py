"""A collective as a plan: phases of connections that move bytes together.

Both ways of running a collective read the same plan: the macro-flow
(`clustersim.collectives.macro`) and the step-by-step expansion
(`clustersim.collectives.stepwise`). An algorithm is a function from a group to a plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from clustersim.catalog.collectives import CollectiveCosts

__all__ = ["Connection", "Lockstep", "Phase", "Pipelined", "Plan"]


@dataclass(frozen=True, slots=True, eq=False)
class Connection:
    """A one-way channel between two vertices, with its route.

    Parameters
    ----------
    links
        Indices of the links it crosses.
    share
        Part of the phase's bytes that it carries: 1/C where C channels run side by side.
    latency_s
        Sum of its links' latencies.
    costs
        What the software over its slowest technology costs.
    """

    source: str
    target: str
    links: tuple[int, ...]
    share: float
    latency_s: float
    costs: CollectiveCosts


@dataclass(frozen=True)
class Lockstep:
    """Rings in which, at each step, every rank sends on what it received in the step before.

    *Equation.* A max-plus system with time per step
    ``max(max_i b_i/r_i, mean_i(b_i/r_i + α_i))``, the largest over the rings, where ring member i
    sends b_i bytes at rate r_i with latency α_i.

    Parameters
    ----------
    rings
        Each a cycle of connections in the order of the data.
    steps
        Messages one after another on each connection.
    step_fraction
        Bytes of one message on a connection of share 1, as a fraction of the collective's size.
    """

    rings: tuple[tuple[Connection, ...], ...]
    steps: int
    step_fraction: float

    @cached_property
    def connections(self) -> tuple[Connection, ...]:
        """All connections, ring by ring."""
        return tuple(connection for ring in self.rings for connection in ring)

    @property
    def fraction(self) -> float:
        """Bytes on a connection of share 1, as a fraction of the collective's size."""
        return self.steps * self.step_fraction


@dataclass(frozen=True)
class Pipelined:
    """Connections that carry their bytes side by side, chunk after chunk.

    *Equation.* ``T = max over paths of Σ α_i + bytes / x``: the latency of the longest path once,
    then all connections at one pace. The time in which the first chunk fills the pipeline is
    left out: it is (path length - 1) chunks.

    Parameters
    ----------
    fraction
        Bytes on a connection of share 1, as a fraction of the collective's size.
    feeds
        For each connection, the indices of those that must deliver a chunk before this one
        can send it on. Listed after the connections that feed it.
    """

    connections: tuple[Connection, ...]
    fraction: float
    feeds: tuple[tuple[int, ...], ...]

    @property
    def steps(self) -> int:
        """One: chunks overlap."""
        return 1

    @property
    def step_fraction(self) -> float:
        """All bytes of a connection belong to its one step."""
        return self.fraction

    @cached_property
    def depth(self) -> int:
        """Connections on the longest path of a chunk."""
        depths: list[int] = []
        for feeds in self.feeds:
            depths.append(1 + max((depths[index] for index in feeds), default=0))
        return max(depths, default=0)


Phase = Lockstep | Pipelined


@dataclass(frozen=True)
class Plan:
    """Phases one after another.

    Parameters
    ----------
    algorithm
        `ring`, `tree`, `hierarchical`, `nvls` or `direct`.
    family
        Which column of protocols of the cost table applies.
    """

    algorithm: str
    family: str
    phases: tuple[Phase, ...]
