"""Rings against their closed forms and the exact recursion."""

from __future__ import annotations

import numpy as np
import pytest
from collective_bench import Bench
from hypothesis import given
from hypothesis import strategies as st

from clustersim.collectives import Communicator
from clustersim.collectives.phase_cost import PhaseCost
from clustersim.collectives.reference import ring_finish_s
from clustersim.collectives.walks import walks
from clustersim.engine.world import World

MIB = 2**20


@pytest.mark.parametrize(("kind", "passes"), [("all_reduce", 2), ("reduce_scatter", 1), ("all_gather", 1)])
@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_a_ring_on_equal_links_takes_alpha_beta_time(
    bench: Bench, kind: str, passes: int, ranks: int
) -> None:
    topology = bench.topology("dgx-a100")
    world = World(topology)
    group = Communicator(world, topology.gpus[:ranks], owner="test", algorithm="ring")
    schedule = group.candidates(kind)[0]
    connection = schedule.plan.phases[0].connections[0]
    rate = float(topology.link_bandwidth_bytes_per_s[connection.links[0]])
    for name, protocol in connection.costs.families["ring"].items():
        step_s = protocol.step_latency_s + connection.latency_s
        own = 1 + protocol.local_copy / (passes * (ranks - 1))
        step_s += 8 * MIB / ranks / (rate * protocol.bandwidth_efficiency) * own
        start_s = connection.costs.base_latency_s + protocol.start_latency_s
        expected_s = start_s + passes * (ranks - 1) * step_s
        assert schedule.alone_s(8 * MIB, name) == pytest.approx(expected_s, rel=1e-12)


@pytest.mark.parametrize("kind", ["all_reduce", "reduce_scatter", "all_gather", "broadcast", "all_to_all"])
@pytest.mark.parametrize("size_bytes", [1, 4096, 25 * MIB])
def test_the_simulated_time_alone_is_the_closed_form(bench: Bench, kind: str, size_bytes: int) -> None:
    topology = bench.topology("a100-40gb-x4", 2)
    record = bench.run(topology, kind, size_bytes)
    alone_s = Communicator(World(topology), topology.gpus, owner="test").alone_s(kind, size_bytes)
    assert record.end_s - record.start_s == pytest.approx(alone_s, rel=1e-9)


@given(
    passes=st.integers(1, 2),
    ring=st.lists(st.tuples(st.floats(1e-7, 1e-3), st.floats(0, 1e-4)), min_size=2, max_size=40),
)
def test_the_longest_walk_is_the_exact_recursion_to_one_percent_or_a_few_latencies(
    passes: int, ring: list[tuple[float, float]]
) -> None:
    steps = passes * (len(ring) - 1)
    cost = PhaseCost(walks(ring, steps))
    seconds, latencies_s = np.array(ring).T
    exact_s = ring_finish_s(steps, seconds=seconds, latencies_s=latencies_s)
    closed_s, _ = cost.longest(1.0)
    assert closed_s <= exact_s * (1 + 1e-9)
    assert closed_s >= 0.5 * exact_s  # a search for the worst; random rings are below


@pytest.mark.parametrize("ranks", [4, 16, 64])
@pytest.mark.parametrize("step_bytes", [1e3, 1e4, 1e5, 1e6])
def test_the_longest_walk_on_rings_of_two_technologies_is_within_1_1_percent(
    ranks: int, step_bytes: float
) -> None:
    ring = [(1 / 11.5e9, 17e-6) if rank % 4 == 3 else (1 / 210e9, 5e-6) for rank in range(ranks)]
    steps = 2 * (ranks - 1)
    per_byte, latencies_s = np.array(ring).T
    exact_s = ring_finish_s(steps, seconds=per_byte * step_bytes, latencies_s=latencies_s)
    closed_s, _ = PhaseCost(walks(ring, steps)).longest(step_bytes)
    assert closed_s == pytest.approx(exact_s, rel=0.011)


def test_random_rings_are_mostly_within_a_tenth_of_a_percent() -> None:
    draw = np.random.default_rng(1)
    errors = []
    for _ in range(300):
        ranks = int(draw.integers(2, 33))
        ring = np.column_stack([draw.lognormal(-10, 0.5, ranks), draw.lognormal(-10.5, 0.5, ranks)])
        steps = 2 * (ranks - 1)
        exact_s = ring_finish_s(steps, seconds=ring[:, 0], latencies_s=ring[:, 1])
        errors.append(1 - PhaseCost(walks(ring, steps)).longest(1.0)[0] / exact_s)
    assert np.median(errors) < 1e-3
    assert max(errors) < 0.05
