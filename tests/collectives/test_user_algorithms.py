"""Algorithms of one's own: step lists from Python and from files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from collective_bench import Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.collectives import Communicator, StepList, read_algorithm
from clustersim.collectives.algorithms import ALGORITHMS
from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.engine.world import World
from clustersim.errors import InputError

MIB = 2**20


def ring(ranks: int, *, order: list[int] | None = None) -> StepList:
    steps = StepList("all_reduce", ranks=ranks, chunks=ranks, name="my-ring")
    order = order or list(range(ranks))
    for step in range(2 * (ranks - 1)):
        reducing = step < ranks - 1
        for place, rank in enumerate(order):
            behind = step + 1 if reducing else step - (ranks - 1)
            chunk = (place - behind) % ranks
            steps.send(step, rank, order[(place + 1) % ranks], [chunk], reduce=reducing)
    return steps


@pytest.mark.parametrize(("node", "ranks"), [("dgx-a100", 8), ("dgx-a100", 3), ("t4-x4", 4)])
def test_a_ring_written_by_hand_is_the_macro_flow_of_the_ring(bench: Bench, node: str, ranks: int) -> None:
    topology = bench.topology(node)
    world = World(topology)
    gpus = topology.gpus[:ranks]
    mine, built_in = (Communicator(world, gpus, owner="test", algorithm=one) for one in (ring(ranks), "ring"))
    phases = [one.candidates("all_reduce")[0].phases for one in (mine, built_in)]
    assert len(phases[0]) == len(phases[1]) == 1
    assert phases[0][0].load.links == phases[1][0].load.links
    assert phases[0][0].weights == phases[1][0].weights
    for size_bytes in (1, 64 * 1024, 256 * MIB):
        assert mine.alone_s("all_reduce", size_bytes) == built_in.alone_s("all_reduce", size_bytes)
    assert mine.algorithm_of("all_reduce", MIB).startswith("my-ring/")


@settings(deadline=None, max_examples=20)
@given(order=st.permutations(range(5)))
def test_the_order_of_a_ring_s_ranks_is_the_user_s(bench: Bench, order: list[int]) -> None:
    topology = bench.star_of_gpus([100e9, 80e9, 120e9, 90e9, 100e9])
    mine = Communicator(World(topology), topology.gpus, owner="test", algorithm=ring(5, order=order))
    gpus = [topology.gpus[rank] for rank in order]
    built_in = Communicator(World(topology), gpus, owner="test", algorithm="ring")
    assert mine.alone_s("all_reduce", MIB) == pytest.approx(built_in.alone_s("all_reduce", MIB), rel=1e-9)


@pytest.mark.parametrize("fidelity", ["macro", "stepwise"])
@pytest.mark.parametrize(("algorithm", "kind"), [
    ("recursive-doubling", "all_reduce"), ("halving-doubling", "reduce_scatter"), ("bruck", "all_to_all"),
    ("bruck", "all_gather"), ("direct", "all_gather"), ("binomial", "scatter"), ("rabenseifner", "reduce"),
])  # fmt: skip
def test_any_algorithm_of_rounds_can_be_written_as_steps(
    bench: Bench, algorithm: str, kind: str, fidelity: str
) -> None:
    topology = bench.topology("a100-40gb-x4", 2)
    group = Group(topology, topology.gpus)
    plan = ALGORITHMS[algorithm].planners[kind](group, Kind(kind))[0]
    steps = StepList(kind, ranks=len(group), chunks=plan.blocks)
    for step, phase in enumerate(plan.phases):
        for index, connection in enumerate(phase.connections):
            means = phase.carries(index, 0)
            ends = group.rank[connection.source], group.rank[connection.target]
            steps.send(step, *ends, list(means.blocks), reduce=means.reduces)
    ends_s = [
        bench.run(topology, kind, 4 * MIB, algorithm=one, fidelity=fidelity).end_s
        for one in (steps, algorithm)
    ]
    if algorithm not in ("direct",):  # its protocols are those of direct messages
        assert ends_s[0] == pytest.approx(ends_s[1], rel=1e-9)
    assert steps.kind.startswith(kind)


def test_other_kinds_than_the_user_s_run_as_nccl_runs_them(bench: Bench) -> None:
    topology = bench.topology("dgx-a100")
    communicator = Communicator(World(topology), topology.gpus, owner="test", algorithm=ring(8))
    assert communicator.algorithm_of("all_gather", MIB).startswith("ring/")
    assert communicator.algorithm_of("broadcast:0", MIB).startswith("ring/")


def as_file(folder: Path, **changes: object) -> Path:
    """A file of an exchange between two ranks, with changes."""
    messages = [
        {"source": 0, "target": 1, "chunks": [0], "reduce": True},
        {"source": 1, "target": 0, "chunks": [0], "reduce": True},
    ]
    fields = {"collective": "all_reduce", "ranks": 2, "chunks": 1, "steps": [messages]} | changes
    path = folder / "exchange.json"
    path.write_text(json.dumps(fields, indent=1))
    return path


def test_a_step_list_is_read_from_json_and_yaml(bench: Bench, tmp_path: Path) -> None:
    topology = bench.topology("dgx-a100")
    from_json = read_algorithm(as_file(tmp_path))
    yaml = tmp_path / "exchange.yaml"
    yaml.write_text(
        "name: exchange\ncollective: all_reduce\nranks: 2\nchunks: 1\nsteps:\n"
        "- - {source: 0, target: 1, chunks: [0], reduce: true}\n"
        "  - {source: 1, target: 0, chunks: [0], reduce: true}\n"
    )
    times_s = {
        Communicator(World(topology), topology.gpus[:2], owner="test", algorithm=one).alone_s(
            "all_reduce", MIB
        )
        for one in (from_json, read_algorithm(yaml), "recursive-doubling")
    }
    assert len(times_s) == 1


@pytest.mark.parametrize(("changes", "message"), [
    ({"ranks": 3}, "all_reduce: rank 0 ends without the contribution of rank 2 to block 0"),
    ({"ranks": 1}, r"ranks: .*2"),
    ({"collective": "gossip"}, "collective: "),
    ({"root": 2}, r"root: is 2; the ranks are 0…1"),
    ({"steps": [[{"source": 0, "target": 2, "chunks": [0]}]]}, r"\[0\]\[0\]\.target: is 2; the ranks are"),
    ({"steps": [[{"source": 0, "target": 1, "chunks": [1]}]]}, r"names chunk 1; the chunks are 0…0"),
    ({"steps": [[{"source": 0, "target": 0, "chunks": [0]}]]}, "is 0, which sends"),
    ({"steps": [[{"source": 0, "target": 1, "chunk": [0]}]]}, "Did you mean 'chunks'"),
    ({"collective": "all_gather", "chunks": 2, "steps": [[{"source": 0, "target": 1, "chunks": [1]}]]},
     "step 0: rank 0 does not have block 1"),
])  # fmt: skip
def test_a_file_that_cannot_work_is_refused_with_the_place(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_algorithm(as_file(tmp_path, **changes))


def test_a_sum_that_is_added_twice_is_refused_with_its_step() -> None:
    steps = ring(3)
    steps.send(0, 0, 1, [2], reduce=True)
    with pytest.raises(
        InputError, match="step 0: adds the contribution of rank 0 to block 2 of rank 1 twice"
    ):
        steps.check()


def test_a_schedule_for_other_ranks_is_refused(bench: Bench) -> None:
    topology = bench.topology("dgx-a100")
    with pytest.raises(InputError, match="'my-ring' is for 4 ranks, the group has 8"):
        Communicator(World(topology), topology.gpus, owner="test", algorithm=ring(4))
