"""The table of algorithms: what is for what, what falls back, and closed forms on equal links."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from collective_bench import Bench

from clustersim.collectives import Communicator
from clustersim.collectives.algorithms import ALGORITHMS, AUTOMATIC
from clustersim.collectives.kinds import BARRIER_BYTES, KINDS, POINT_TO_POINT
from clustersim.engine.world import World
from clustersim.errors import InputError
from clustersim.spec.training import CollectiveSpec
from clustersim.topology import Topology

MIB = 2**20
PAIRS = [(name, kind) for name, algorithm in ALGORITHMS.items() for kind in algorithm.planners]


def group(topology: Topology, algorithm: str = "auto", **options: int) -> Communicator:
    return Communicator(World(topology), topology.gpus, owner="test", algorithm=algorithm, **options)


def test_a_scenario_may_name_every_algorithm() -> None:
    assert get_args(CollectiveSpec.model_fields["algorithm"].annotation) == ("auto", *ALGORITHMS)


def test_every_kind_has_an_algorithm_and_auto_takes_only_what_is_there() -> None:
    planned = {kind for _, kind in PAIRS}
    assert set(KINDS) - planned == {"all_to_all_v"}  # planned from its matrix
    assert all(kind in ALGORITHMS[name].planners for kind, names in AUTOMATIC.items() for name in names
               if kind != "all_to_all_v")  # fmt: skip


@pytest.mark.parametrize(("algorithm", "kind"), PAIRS)
def test_the_algorithm_that_is_named_runs_or_says_why_not(bench: Bench, algorithm: str, kind: str) -> None:
    topology = bench.reducing_leaf_spine(leaves=2, nodes=2)
    communicator = group(topology, algorithm)
    asked = "send_recv:0:5" if kind == "send_recv" else kind
    if algorithm == "torus":
        with pytest.raises(InputError, match="coordinates"):
            communicator.alone_s(asked, MIB)
        communicator, topology = group(bench.torus(2, 3), algorithm), bench.torus(2, 3)
    fallback = "ring" if algorithm in ("nvls", "nvlstree") else algorithm
    assert communicator.algorithm_of(asked, MIB).startswith(f"{fallback}/")


@pytest.mark.parametrize("algorithm", [name for name, one in ALGORITHMS.items() if not one.falls_back])
@pytest.mark.parametrize("kind", ["all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce"])
def test_an_algorithm_that_can_never_do_a_kind_is_refused_with_those_that_can(
    bench: Bench, algorithm: str, kind: str
) -> None:
    if kind in ALGORITHMS[algorithm].planners:
        return
    with pytest.raises(InputError, match=f"not {kind}; for that take one of auto, ring"):
        group(bench.topology("dgx-a100"), algorithm).alone_s(kind, MIB)


@pytest.mark.parametrize("algorithm", ["ring", "tree", "nvls", "sharp"])
@pytest.mark.parametrize("kind", ["reduce_scatter", "all_gather"])
def test_what_nccl_is_told_and_cannot_do_it_does_on_rings(bench: Bench, algorithm: str, kind: str) -> None:
    communicator = group(bench.topology("dgx-a100", 2), algorithm)
    assert communicator.algorithm_of(kind, MIB).startswith("ring/")


@pytest.mark.parametrize("algorithm", ["ring", "torus", "hierarchical", "bruck"])
@pytest.mark.parametrize("kind", [kind for kind in POINT_TO_POINT if kind != "all_to_all_v"])
def test_sends_and_receives_go_straight_whatever_the_algorithm_of_the_others(
    bench: Bench, algorithm: str, kind: str
) -> None:
    expected = "bruck/" if (algorithm, kind) == ("bruck", "all_to_all") else "direct/"
    communicator = group(bench.topology("dgx-a100"), algorithm)
    assert communicator.algorithm_of(kind, MIB).startswith(expected)


def steps_and_bytes(ranks: int) -> dict[tuple[str, str], tuple[int, float]]:
    """For powers of two on one switch: messages one after another, and S bytes through the busiest port."""
    rounds, rest = int(math.log2(ranks)), (ranks - 1) / ranks
    return {
        ("recursive-doubling", "all_reduce"): (rounds, rounds),
        ("recursive-doubling", "all_gather"): (rounds, rest),
        ("halving-doubling", "all_reduce"): (2 * rounds, 2 * rest),
        ("halving-doubling", "reduce_scatter"): (rounds, rest),
        ("halving-doubling", "all_gather"): (rounds, rest),
        ("rabenseifner", "all_reduce"): (2 * rounds, 2 * rest),
        ("rabenseifner", "reduce"): (2 * rounds, 2 * rest),
        ("binomial", "broadcast"): (rounds, rounds),
        ("binomial", "reduce"): (rounds, rounds),
        ("binomial", "gather"): (rounds, rest),
        ("binomial", "scatter"): (rounds, rest),
        ("bruck", "all_gather"): (rounds, rest),
        ("bruck", "all_to_all"): (rounds, rounds / 2),
        ("direct", "all_reduce"): (2, 2 * rest),
        ("direct", "reduce_scatter"): (1, rest),
        ("direct", "all_gather"): (1, rest),
        ("direct", "all_to_all"): (1, rest),
        ("direct", "gather"): (1, rest),
        ("direct", "scatter"): (1, rest),
        ("direct", "broadcast"): (1, ranks - 1),
        ("direct", "reduce"): (1, ranks - 1),
        ("one-shot", "all_reduce"): (1, ranks - 1),
        ("bidirectional-ring", "all_reduce"): (2 * (ranks - 1), 2 * rest),
    }


@pytest.mark.parametrize("ranks", [2, 4, 16])
@pytest.mark.parametrize(("algorithm", "kind"), list(steps_and_bytes(2)))
def test_on_one_switch_an_algorithm_takes_its_steps_and_its_bytes(
    bench: Bench, algorithm: str, kind: str, ranks: int
) -> None:
    topology = bench.star_of_gpus([100e9] * ranks, kind="pcie")
    schedule = group(topology, algorithm).candidates(kind)[0]
    steps, volume = steps_and_bytes(ranks)[algorithm, kind]
    few_s, many_s = (schedule.alone_s(size, "simple") for size in (1.0, 1e12))
    latency_s = schedule.alone_s(0.0, "simple") - schedule.start_s["simple"]
    phase = schedule.phases[0]
    step_s = phase.costs["simple"].longest(0.0)[0] / phase.phase.messages[0]
    assert latency_s == pytest.approx(steps * step_s, rel=1e-9)
    busiest = sum(float(one.load.s_per_byte.max()) for one in schedule.phases) * 100e9
    assert busiest == pytest.approx(volume, rel=1e-9)
    assert many_s - few_s >= volume * (1e12 - 1) / 100e9


def test_a_torus_keeps_all_links_of_a_chip_busy(bench: Bench) -> None:
    topology = bench.torus(4, 4, 4, latency_s=0.0)
    load = [phase.load for phase in group(topology, "torus").candidates("all_reduce")[0].phases]
    assert all(len(one.links) == len(topology.link_names) for one in load)
    moved = sum(one.s_per_byte.max() for one in load)
    assert moved == pytest.approx(2 * 63 / 64 / 6 / 50e9, rel=1e-9)
    for one in load:
        np.testing.assert_allclose(one.volumes, one.volumes[0], rtol=1e-9)


def test_both_directions_of_a_ring_of_chips_take_half_the_time_of_one(bench: Bench) -> None:
    topology = bench.torus(8, latency_s=0.0)
    loads = [
        group(topology, algorithm).candidates("all_reduce")[0].phases[0].load.s_per_byte.max()
        for algorithm in ("ring", "bidirectional-ring")
    ]
    assert loads[1] == pytest.approx(loads[0] / 2, rel=1e-12)


def test_reduction_in_the_network_loads_each_port_once(bench: Bench) -> None:
    topology = bench.reducing_leaf_spine(leaves=3, nodes=2)
    world = World(topology)
    communicator = Communicator(world, topology.gpus, owner="test", algorithm="sharp")
    world.env.run(until=communicator.all_reduce(8 * MIB))
    carried = world.fabric.usage().bytes
    for node in range(6):
        assert carried[topology.link_index(f"node{node}/nic0>leaf{node // 2}")] == pytest.approx(8 * MIB)
    spine = communicator.candidates("all_reduce")[0].plan.phases[0]
    uplinks = [
        carried[link] for link, (one, other) in enumerate(topology.link_ends) if other.startswith("spine")
    ]
    assert sum(uplinks) == pytest.approx(3 * 8 * MIB)  # once per leaf, not once per node
    assert spine.depth == 6


def test_switches_that_do_not_add_leave_sharp_to_the_ring(bench: Bench) -> None:
    topology = bench.reducing_leaf_spine(leaves=2, nodes=2, reduces=False)
    assert group(topology, "sharp").algorithm_of("all_reduce", MIB).startswith("ring/")
    assert not group(topology).algorithm_of("all_reduce", 1024 * MIB).startswith("sharp/")


def test_auto_takes_the_network_s_reduction_where_it_is_faster(bench: Bench) -> None:
    topology = bench.reducing_leaf_spine(leaves=2, nodes=2)
    assert group(topology).algorithm_of("all_reduce", 1024 * MIB).startswith("sharp/")


def test_a_barrier_is_an_all_reduce_of_four_bytes(bench: Bench) -> None:
    topology = bench.topology("dgx-a100", 2)
    communicator = group(topology)
    assert communicator.alone_s("barrier", 0) == communicator.alone_s("all_reduce", BARRIER_BYTES)
    world = World(topology)
    record = world.env.run(until=Communicator(world, topology.gpus, owner="test").barrier())
    assert record.end_s == pytest.approx(communicator.alone_s("barrier", 1e9))
    assert group(topology, "bruck").algorithm_of("barrier", 1).startswith("bruck/")


def test_channels_divide_the_bytes_and_leave_the_load_as_it_is(bench: Bench) -> None:
    topology = bench.topology("dgx-a100", 2)
    loads = [
        group(topology, "ring", channels=channels).candidates("all_reduce")[0].phases[0].load
        for channels in (8, 16)
    ]
    assert loads[1].s_per_byte.max() == pytest.approx(loads[0].s_per_byte.max())
    assert loads[1].unit == pytest.approx(loads[0].unit / 2)


@pytest.mark.parametrize("chunks", [1, 4, 16])
@pytest.mark.parametrize(("node", "nodes", "kind"), [
    ("a100-40gb-x4", 3, "all_reduce"), ("dgx-a100", 1, "broadcast"), ("dgx-a100", 1, "reduce"),
])  # fmt: skip
def test_with_chunks_the_closed_form_has_the_time_that_fills_the_pipeline(
    bench: Bench, node: str, nodes: int, kind: str, chunks: int
) -> None:
    topology = bench.topology(node, nodes)
    chunked = group(topology, "tree", chunks=chunks)
    phase = chunked.candidates(kind)[0].plan.phases[0]
    assert set(phase.messages) == {chunks}
    record = bench.run(topology, kind, 16 * MIB, algorithm="tree", chunks=chunks, fidelity="stepwise")
    assert chunked.alone_s(kind, 16 * MIB) == pytest.approx(record.end_s, rel=0.08)
    assert group(topology, "tree").alone_s(kind, 16 * MIB) < chunked.alone_s(kind, 16 * MIB)


UNEVEN = [
    (lambda matrix: matrix[:-1], r"8 × 8 numbers of bytes .* array of shape \(7, 8\)"),
    (lambda matrix: -matrix, "bytes from zero"),
    (lambda matrix: matrix * np.inf, "bytes from zero"),
]


@pytest.mark.parametrize(("change", "message"), UNEVEN)
def test_a_matrix_of_bytes_has_a_row_and_column_per_rank(
    bench: Bench, change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    communicator = group(bench.topology("dgx-a100"))
    with pytest.raises(InputError, match=message):
        communicator.all_to_all_v(change(np.ones((8, 8))))


def test_an_uneven_all_to_all_takes_the_time_of_its_busiest_port(bench: Bench) -> None:
    topology = bench.topology("dgx-a100")
    draw = np.random.default_rng(4)
    matrix = draw.lognormal(15, 1, (8, 8))
    np.fill_diagonal(matrix, 0.0)
    world = World(topology)
    communicator = Communicator(world, topology.gpus, owner="test")
    record = world.env.run(until=communicator.all_to_all_v(matrix))
    assert record.end_s == pytest.approx(communicator.alone_s("all_to_all_v", matrix), rel=1e-9)
    rate = float(topology.link_bandwidth_bytes_per_s[topology.link_index("node0/gpu0>node0/nvswitch")])
    assert record.end_s >= max(matrix.sum(0).max(), matrix.sum(1).max()) / rate
    carried = world.fabric.usage().bytes
    sent = [carried[topology.link_index(f"{gpu}>node0/nvswitch")] for gpu in topology.gpus]
    np.testing.assert_allclose(sent, matrix.sum(axis=1), rtol=1e-9)


def test_an_even_matrix_is_an_all_to_all(bench: Bench) -> None:
    communicator = group(bench.topology("a100-40gb-x4", 2))
    even = np.full((8, 8), 1e6)
    assert communicator.alone_s("all_to_all_v", even) == pytest.approx(
        communicator.alone_s("all_to_all", 8e6), rel=1e-9
    )
    assert communicator.alone_s("all_to_all_v", np.zeros((8, 8))) == 0.0


@pytest.mark.parametrize(("asked", "message"), [
    ("gossip", "unknown collective 'gossip'"), ("broadcast:8", r"rank 8 is not among the 8 ranks 0…7"),
    ("gather:x", "names a rank that is no number"), ("all_reduces", "Did you mean 'all_reduce'"),
])  # fmt: skip
def test_a_kind_that_is_not_there_is_refused(bench: Bench, asked: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        group(bench.topology("dgx-a100")).alone_s(asked, MIB)


@pytest.mark.parametrize(("option", "value"), [("channels", 0), ("chunks", -1)])
def test_channels_and_chunks_are_one_or_more(bench: Bench, option: str, value: int) -> None:
    with pytest.raises(InputError, match=f"{option} must be one or more, got {value}"):
        group(bench.topology("dgx-a100"), **{option: value})


@pytest.mark.parametrize("nodes", [4, 16])
def test_planning_asks_for_each_path_once(bench: Bench, nodes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    topology = bench.topology("dgx-h100", nodes)
    asked: list[tuple[str, str, int]] = []
    path = Topology.path

    def counted(self: Topology, source: str, target: str, *, connection: int = 0) -> object:
        asked.append((source, target, connection))
        return path(self, source, target, connection=connection)

    monkeypatch.setattr(Topology, "path", counted)
    group(topology).alone_s("all_reduce", MIB)
    assert len(asked) == len(set(asked)) < 9 * len(topology.gpus)


def test_the_documented_table_is_that_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "collectives.md").read_text()
    table = page.split("| algorithm | kinds | time alone |")[1].split("\n\n")[0]
    documented: dict[str, set[str]] = {}
    name = ""
    for row in table.splitlines()[2:]:
        first, kinds, _ = row.strip("|").split("|", 2)
        name = first.strip(" `") or name
        documented.setdefault(name, set()).update(kinds.replace(" ", "").split(","))
    assert documented == {name: set(algorithm.planners) for name, algorithm in ALGORITHMS.items()}
