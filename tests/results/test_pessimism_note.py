"""What a run tells of collectives that may be too slow."""

from __future__ import annotations

import random

import pytest

import synthetic_result
from clustersim.collectives import Communicator
from clustersim.engine.pessimism import PessimisticCollectives
from clustersim.engine.world import World
from clustersim.results import Ending, Result
from clustersim.results.pessimism_note import pessimism_note
from clustersim.topology import build

MIB = 2**20


def collected(transfers: int, size_bytes: float) -> Result:
    """A run of one ring over all GPUs beside transfers between random nodes."""
    scenario = synthetic_result.scenario()
    topology = build(scenario.cluster, base=None)
    world, draw = World(topology), random.Random(1)
    ring = Communicator(world, topology.gpus, owner="pretrain", algorithm="ring")
    ring.all_reduce(256 * MIB)
    alone_s = ring.alone_s("all_reduce", 256 * MIB)

    def feed():
        for _ in range(transfers):
            yield world.env.timeout(alone_s / transfers)
            world.transfer(*draw.sample(topology.gpus, 2), size_bytes)

    world.env.process(feed())
    world.env.run()
    return Result.collect(
        scenario=scenario,
        world=world,
        outcomes=[synthetic_result.training()],
        version="0",
        ending=Ending.COMPLETE,
        why="",
        wall_s=0.0,
    )


def test_a_run_beside_many_small_transfers_says_in_its_summary_that_it_may_be_pessimistic() -> None:
    result = collected(200, MIB)
    (told,) = result.pessimistic_collectives
    assert told.workload == "pretrain"
    (note,) = result.notes
    assert note.startswith("1 collective of pretrain shared links with transfers smaller than")
    assert f"up to {100 * told.part:.0f} % (all-reduce of 268 MB)" in note
    assert f"Note: {note}" in " ".join(result.summary().split())
    (kept,) = result.document()["pessimistic_collectives"]
    assert (kept["workload"], kept["count"], kept["part"]) == ("pretrain", 1, told.part)


def test_a_run_alone_says_nothing() -> None:
    result = collected(0, MIB)
    assert (result.notes, result.pessimistic_collectives) == ((), ())
    assert result.document()["pessimistic_collectives"] == []


@pytest.mark.parametrize("names", [("chat", "pretrain"), ("pretrain", "chat")])
def test_all_workloads_are_counted_in_one_sentence_with_the_figures_of_the_worst(
    names: tuple[str, str],
) -> None:
    first, second = names
    found = (
        PessimisticCollectives(first, "all-reduce", 1200, 0.31, 64e6, 32e6),
        PessimisticCollectives(second, "all-gather", 1, 0.06, 1e3, 1e3),
    )
    assert pessimism_note(found) == (
        f"1,201 collectives of {first} and {second} shared links with transfers smaller than "
        "what is in flight on a ring (32 MB): times may be pessimistic by up to 31 % (all-reduce of 64 MB); "
        "run with 'fidelity: stepwise' to check"
    )


def test_nothing_found_is_nothing_said() -> None:
    assert pessimism_note(()) == ""
