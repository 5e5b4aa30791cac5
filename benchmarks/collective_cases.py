"""A case of collectives and transfers on one fabric, run as macro-flows or step by step."""

from __future__ import annotations

import gc
import math
import operator
import random
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import simpy

from clustersim.collectives import CollectiveRecord, Communicator
from clustersim.engine.trace import NETWORK_LATENCY
from clustersim.engine.world import World
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import Topology, build
from measuring import events_scheduled

Fidelity = Literal["macro", "stepwise"]


class Transfer(NamedTuple):
    """One point-to-point transfer beside the collectives."""

    start_s: float
    source: str
    target: str
    size_bytes: float


@dataclass(frozen=True)
class Case:
    """Collectives, and transfers that start when they say.

    Parameters
    ----------
    groups
        The ranks of each collective.
    size_bytes
        Size of each collective.
    repeat
        Collectives of that size back to back in each group, counted as one.
    stagger_s
        How much later each group starts than the one before.
    """

    name: str
    topology: Topology
    groups: Sequence[Sequence[str]]
    size_bytes: float
    transfers: Sequence[Transfer] = ()
    kind: str = "all_reduce"
    algorithm: str = "ring"
    repeat: int = 1
    stagger_s: float = 0.0


@dataclass
class Outcome:
    """How long everything took, in seconds of the simulation, and what it cost to find out.

    `alone_s` is what the slowest collective takes alone, `latency` the largest part of such a time
    that is latency, `spread` by how much the library says that a collective may be too slow.
    """

    collectives_s: list[float] = field(default_factory=list)
    transfers_s: list[float] = field(default_factory=list)
    alone_s: float = 0.0
    latency: float = 0.0
    spread: float = 0.0
    cpu_s: float = 0.0
    planning_s: float = 0.0
    events: int = 0
    solves: int = 0
    touched: int = 0


def run(case: Case, fidelity: Fidelity, *, solver: str = "auto") -> Outcome:
    """Simulate a case until its collectives and its transfers have ended.

    `cpu_s` is what the simulation took once the world was built and the collectives planned.
    """
    world, outcome = World(case.topology, keep_trace=False, solver=solver), Outcome()
    started = time.process_time()
    communicators = [
        Communicator(world, gpus, owner=f"job{index}", algorithm=case.algorithm, fidelity=fidelity)
        for index, gpus in enumerate(case.groups)
    ]
    for communicator in communicators:
        _describe_alone(communicator, case, outcome)
    outcome.planning_s = time.process_time() - started
    gc.collect()
    started = time.process_time()
    _simulate(world, communicators, case, outcome)
    outcome.cpu_s = time.process_time() - started
    outcome.events = events_scheduled(world.env)
    outcome.solves, outcome.touched = world.fabric.solves, world.fabric.flows_touched
    outcome.spread = max((found.part for found in world.pessimism.collectives), default=0.0)
    return outcome


def _describe_alone(communicator: Communicator, case: Case, outcome: Outcome) -> None:
    alone_s = communicator.alone_s(case.kind, case.size_bytes)
    latency_s = communicator.alone_shares(case.kind, case.size_bytes)[NETWORK_LATENCY]
    outcome.alone_s = max(outcome.alone_s, case.repeat * alone_s)
    outcome.latency = max(outcome.latency, latency_s / alone_s)


def _simulate(world: World, communicators: Sequence[Communicator], case: Case, outcome: Outcome) -> None:
    ends = [
        world.env.process(_collective(world, communicator, case, index * case.stagger_s))
        for index, communicator in enumerate(communicators)
    ]
    outcome.transfers_s = [math.nan] * len(case.transfers)
    world.env.process(_feed(world, case.transfers, outcome.transfers_s))
    world.env.run()
    records = [end.value for end in ends]
    outcome.collectives_s = [float(record.end_s - record.start_s) for record in records]


def alone_s(case: Case) -> float:
    """Return how long the slowest group of the case takes when it is alone."""
    world = World(case.topology, keep_trace=False)
    slowest_s = max(
        Communicator(world, gpus, owner="alone", algorithm=case.algorithm).alone_s(case.kind, case.size_bytes)
        for gpus in case.groups
    )
    return case.repeat * slowest_s


def _collective(
    world: World, communicator: Communicator, case: Case, start_s: float
) -> Generator[simpy.Event, Any, CollectiveRecord]:
    yield world.env.timeout(start_s)
    record: CollectiveRecord = yield getattr(communicator, case.kind)(case.size_bytes, repeat=case.repeat)
    return record


def _feed(
    world: World, transfers: Sequence[Transfer], durations_s: list[float]
) -> Generator[simpy.Event, Any, None]:
    """Start the transfers, given in the order of their starts, and note how long each takes."""

    def note(row: int, start_s: float) -> Callable[[simpy.Event], None]:
        return lambda _: operator.setitem(durations_s, row, world.env.now - start_s)

    for row, transfer in enumerate(transfers):
        yield world.env.timeout(max(0.0, transfer.start_s - world.env.now))
        process = world.transfer(transfer.source, transfer.target, transfer.size_bytes)
        process.callbacks.append(note(row, transfer.start_s))


def cluster(kind: str, nodes: int, node: str, *, link: str = "ethernet-100g", **fields: Any) -> Topology:
    """Build one of the standard topologies."""
    spec = {"topology": {"kind": kind, "nodes": nodes, "node": node, **fields}, "fabric": {"link": link}}
    return build(ClusterSpec.model_validate(spec), base=None)


def random_transfers(
    gpus: Sequence[str], count: int, *, until_s: float, size_bytes: float, seed: int = 1
) -> list[Transfer]:
    """Transfers of one size between random pairs that start at random times."""
    draw = random.Random(seed)
    starts = sorted(draw.uniform(0.0, until_s) for _ in range(count))
    return [Transfer(start_s, *draw.sample(list(gpus), 2), size_bytes) for start_s in starts]


def relative_errors(got: Sequence[float], wanted: Sequence[float]) -> np.ndarray:
    """(got - wanted) / wanted."""
    want = np.array(wanted, dtype=float)
    errors: np.ndarray = (np.array(got, dtype=float) - want) / want
    return errors
