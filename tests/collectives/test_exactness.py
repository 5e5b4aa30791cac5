"""How near a macro-flow comes to the same ring step by step, beside other traffic."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import pytest
from collective_bench import Bench

from clustersim.collectives import Communicator
from clustersim.engine.pessimism import PessimisticCollectives
from clustersim.engine.trace import NETWORK_LATENCY
from clustersim.engine.world import World
from clustersim.topology import Topology

MIB = 2**20
LINK_BYTES_PER_S = 100e9


class Transfer(NamedTuple):
    start_s: float
    source: str
    target: str
    size_bytes: float


class Twins:
    """The same rings and transfers twice: as macro-flows and step by step; and what the worlds tell of it."""

    def __init__(
        self,
        topology: Topology,
        groups: Sequence[Sequence[str]],
        size_bytes: float,
        *,
        transfers: Sequence[Transfer] = (),
        repeat: int = 1,
    ) -> None:
        self._topology = topology
        self._transfers = transfers
        self._size_bytes, self._repeat = size_bytes / repeat, repeat
        self.macro_s, self.told = self._ends(groups, "macro")
        self.stepwise_s, self.told_stepwise = self._ends(groups, "stepwise")

    @property
    def error(self) -> float:
        """Of the group with the largest: (macro-flow - step by step) / step by step."""
        errors = [
            macro_s / stepwise_s - 1.0
            for macro_s, stepwise_s in zip(self.macro_s, self.stepwise_s, strict=True)
        ]
        return max(errors, key=abs)

    def _ends(
        self, groups: Sequence[Sequence[str]], fidelity: str
    ) -> tuple[list[float], tuple[PessimisticCollectives, ...]]:
        world = World(self._topology)
        events = [
            Communicator(world, gpus, owner=f"job{index}", algorithm="ring", fidelity=fidelity).all_reduce(
                self._size_bytes, repeat=self._repeat
            )
            for index, gpus in enumerate(groups)
        ]
        world.env.process(self._feed(world))
        world.env.run(until=world.env.all_of(events))
        return [float(event.value.end_s) for event in events], world.pessimism.collectives

    def _feed(self, world: World):
        for transfer in self._transfers:
            yield world.env.timeout(max(0.0, transfer.start_s - world.env.now))
            world.transfer(transfer.source, transfer.target, transfer.size_bytes)


def star(bench: Bench, ranks: int) -> Topology:
    return bench.star_of_gpus([LINK_BYTES_PER_S] * ranks)


def ring_alone(topology: Topology, size_bytes: float) -> tuple[float, float]:
    """Seconds that a ring takes alone, and the part of them that is latency."""
    ring = Communicator(World(topology), topology.gpus, owner="alone", algorithm="ring")
    shares = ring.alone_shares("all_reduce", size_bytes)
    return ring.alone_s("all_reduce", size_bytes), shares[NETWORK_LATENCY]


def random_transfers(topology: Topology, ring_bytes: float, size_bytes: float, load: float) -> list[Transfer]:
    """Transfers between random pairs for twice the time of a ring alone, in the order of their starts."""
    draw = random.Random(1)
    until_s = 2.0 * ring_alone(topology, ring_bytes)[0]
    count = max(1, round(load * LINK_BYTES_PER_S * len(topology.gpus) * until_s / size_bytes))
    starts = sorted(draw.uniform(0.0, until_s) for _ in range(count))
    return [Transfer(start_s, *draw.sample(topology.gpus, 2), size_bytes) for start_s in starts]


@pytest.mark.parametrize("ranks", [4, 16, 64])
def test_alone_a_ring_over_oversubscribed_leaves_agrees_to_rounding(bench: Bench, ranks: int) -> None:
    topology = bench.topology(
        "t4-x1", ranks, kind="leaf-spine", nodes_per_leaf=4, oversubscription=4.0, link="ethernet-100g"
    )
    gpus = list(topology.gpus)
    random.Random(1).shuffle(gpus)
    twins = Twins(topology, [gpus], 64 * MIB)
    assert twins.error == pytest.approx(0.0, abs=1e-9)
    assert twins.told == ()


@pytest.mark.parametrize("ranks", [4, 16])
@pytest.mark.parametrize("size_bytes", [MIB, 16 * MIB])
def test_rings_in_phase_lose_at_most_the_latency_that_fluids_hide_in_each_other(
    bench: Bench, ranks: int, size_bytes: int
) -> None:
    """Two fluids fill a link whenever one pauses; messages that start together pause together."""
    topology = star(bench, ranks)
    twins = Twins(topology, [topology.gpus, topology.gpus], size_bytes)
    _, latency_s = ring_alone(topology, size_bytes)
    for macro_s, stepwise_s in zip(twins.macro_s, twins.stepwise_s, strict=True):
        assert macro_s <= stepwise_s * (1 + 1e-9)
        assert stepwise_s <= macro_s + latency_s


@pytest.mark.parametrize("ranks", [4, 8, 32])
@pytest.mark.parametrize("load", [0.1, 0.4])
def test_beside_transfers_larger_than_what_is_in_flight_a_ring_agrees_within_1_percent(
    bench: Bench, ranks: int, load: float
) -> None:
    """A ring has as many bytes in flight as the buffer that it reduces."""
    topology, size_bytes = star(bench, ranks), 64 * MIB
    transfers = random_transfers(topology, size_bytes, 16 * size_bytes, load)
    twins = Twins(topology, [topology.gpus], size_bytes, transfers=transfers)
    assert abs(twins.error) < 0.01
    assert twins.told == ()
    assert twins.macro_s[0] > 1.1 * ring_alone(topology, size_bytes)[0]


@pytest.mark.parametrize("ranks", [4, 8, 32])
@pytest.mark.parametrize("ratio", [1 / 256, 1 / 64, 1 / 16])
def test_beside_small_transfers_a_macro_flow_is_pessimistic(bench: Bench, ranks: int, ratio: float) -> None:
    """Step by step, delays on different links hide behind each other within a round of the data."""
    topology, size_bytes = star(bench, ranks), 64 * MIB
    transfers = random_transfers(topology, size_bytes, ratio * size_bytes, 0.05)
    assert 0.0 < Twins(topology, [topology.gpus], size_bytes, transfers=transfers).error < 0.75


@pytest.mark.parametrize("ranks", [8, 32])
@pytest.mark.parametrize("ratio", [1 / 256, 1 / 16])
@pytest.mark.parametrize("load", [0.05, 0.2])
def test_where_a_macro_flow_is_more_than_5_percent_pessimistic_the_world_tells_by_how_much_at_most(
    bench: Bench, ranks: int, ratio: float, load: float
) -> None:
    topology, size_bytes = star(bench, ranks), 64 * MIB
    transfers = random_transfers(topology, size_bytes, ratio * size_bytes, load)
    twins = Twins(topology, [topology.gpus], size_bytes, transfers=transfers)
    (told,) = twins.told
    assert 0.05 < twins.error < told.part
    assert (told.workload, told.kind, told.count, told.size_bytes) == ("job0", "all-reduce", 1, size_bytes)
    assert told.in_flight_bytes == pytest.approx(size_bytes)
    assert twins.told_stepwise == ()


def test_nothing_is_told_of_a_ring_that_one_link_holds_back_however_small_the_transfers(bench: Bench) -> None:
    topology, size_bytes = star(bench, 8), 64 * MIB
    starts = [number * 1e-4 for number in range(20)]
    transfers = [Transfer(start_s, topology.gpus[0], topology.gpus[3], MIB) for start_s in starts]
    twins = Twins(topology, [topology.gpus], size_bytes, transfers=transfers)
    assert twins.told == ()
    assert twins.macro_s[0] > 1.05 * ring_alone(topology, size_bytes)[0]


def test_collectives_back_to_back_are_told_one_by_one(bench: Bench) -> None:
    topology, size_bytes = star(bench, 8), 64 * MIB
    transfers = random_transfers(topology, size_bytes, size_bytes / 256, 0.1)
    (told,) = Twins(topology, [topology.gpus], size_bytes, transfers=transfers, repeat=4).told
    assert (told.count, told.size_bytes) == (4, size_bytes / 4)


def test_the_less_is_in_flight_the_better_a_macro_flow_agrees(bench: Bench) -> None:
    """A buffer that is reduced in pieces, as libraries with small buffers do, has one of them in flight."""
    topology, size_bytes = star(bench, 16), 256 * MIB
    transfers = random_transfers(topology, size_bytes, 4 * MIB, 0.05)
    errors = [
        Twins(topology, [topology.gpus], size_bytes, transfers=transfers, repeat=pieces).error
        for pieces in (1, 4, 16)
    ]
    assert all(fewer > more for fewer, more in pairwise(errors))
    assert errors[-1] < 0.4 * errors[0]
