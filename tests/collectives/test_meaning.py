"""Every plan brings about its collective: the data followed block by block; and wrong plans are caught."""

from __future__ import annotations

from dataclasses import replace

import pytest
from collective_bench import Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.collectives.algorithms import ALGORITHMS
from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.collectives.meaning import check_plan
from clustersim.collectives.plan import NotApplicableError, Payload, Phase, Plan
from clustersim.errors import InputError
from clustersim.topology import Topology

PAIRS = [(name, kind) for name, algorithm in ALGORITHMS.items() for kind in algorithm.planners]
ROOTED = ("broadcast", "reduce", "gather", "scatter")


def volumes_are_those_of_the_blocks(plan: Plan, kind: Kind, ranks: int) -> None:
    """Each connection's bytes are its messages' blocks; a switch's ports carry shards besides (NVLS)."""
    block = (ranks if kind.name == "all_to_all" else 1) / plan.blocks
    for phase in plan.phases:
        for index, volume in enumerate(phase.volumes):
            steps = phase.messages[index] if phase.lag else 1
            carried = block * sum(len(phase.carries(index, step).blocks) for step in range(steps))
            assert carried <= volume * (1 + 1e-9)
            assert plan.family == "nvls" or carried == pytest.approx(volume)


def brings_about(topology: Topology, gpus: list[str], algorithm: str, kind: Kind) -> int:
    group = Group(topology, gpus)
    try:
        plans = ALGORITHMS[algorithm].planners[kind.name](group, kind)
    except NotApplicableError:
        return 0
    for plan in plans:
        check_plan(plan, kind, group)
        volumes_are_those_of_the_blocks(plan, kind, len(gpus))
    return len(plans)


@settings(deadline=None, max_examples=250)
@given(
    pair=st.sampled_from(PAIRS),
    node=st.sampled_from(("dgx-h100", "a100-40gb-x4", "dgx-1v", "mi300x-x8", "t4-x4")),
    nodes=st.integers(1, 4),
    per_node=st.integers(1, 5),
    data=st.data(),
)
def test_every_algorithm_brings_about_its_collective_on_any_group(
    bench: Bench, pair: tuple[str, str], node: str, nodes: int, per_node: int, data: st.DataObject
) -> None:
    algorithm, name = pair
    topology = bench.topology(node, nodes)
    gpus = [gpu for members in topology.gpus_by_node.values() for gpu in members[:per_node]]
    if len(gpus) < 2:
        return
    gpus = data.draw(st.permutations(gpus))
    ranks = st.integers(0, len(gpus) - 1)
    kind = Kind(name, (data.draw(ranks),) if name in ROOTED else ())
    brings_about(topology, gpus, algorithm, kind)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (4, 4), (2, 3, 4), (1, 3)])
@pytest.mark.parametrize("kind", ["all_reduce", "reduce_scatter", "all_gather"])
def test_a_torus_of_any_shape_brings_about_its_collectives(
    bench: Bench, shape: tuple[int, ...], kind: str
) -> None:
    topology = bench.torus(*shape)
    assert brings_about(topology, list(topology.gpus), "torus", Kind(kind)) == 1


@pytest.mark.parametrize(("leaves", "nodes"), [(1, 2), (3, 2), (2, 3)])
@pytest.mark.parametrize("algorithm", ["sharp", "hierarchical-3-level", "tree", "hierarchical"])
def test_switch_trees_and_three_levels_bring_about_an_all_reduce(
    bench: Bench, leaves: int, nodes: int, algorithm: str
) -> None:
    topology = bench.reducing_leaf_spine(leaves=leaves, nodes=nodes)
    assert brings_about(topology, list(topology.gpus), algorithm, Kind("all_reduce")) > 0


# ---- the check catches what is wrong


def only_phase(bench: Bench, algorithm: str, kind: str) -> tuple[Plan, Phase, Group]:
    group = Group(bench.topology("dgx-a100"), bench.topology("dgx-a100").gpus[:4])
    plan = ALGORITHMS[algorithm].planners[kind](group, Kind(kind))[0]
    return plan, plan.phases[0], group


def test_a_ring_without_its_feeds_sends_what_has_not_arrived(bench: Bench) -> None:
    plan, phase, group = only_phase(bench, "ring", "all_reduce")
    broken = replace(plan, phases=(replace(phase, feeds=((),) * 4),))
    with pytest.raises(InputError, match=r"step 1: node0/gpu0 sends block 2 before it has arrived"):
        check_plan(broken, Kind("all_reduce"), group)


def test_a_pipeline_without_its_feeds_sends_what_has_not_arrived(bench: Bench) -> None:
    plan, phase, group = only_phase(bench, "ring", "broadcast")
    broken = replace(plan, phases=(replace(phase, feeds=((),) * 3),))
    with pytest.raises(InputError, match="sends block 0 before it has arrived"):
        check_plan(broken, Kind("broadcast"), group)


def test_a_ring_that_goes_round_once_too_few_leaves_a_contribution_out(bench: Bench) -> None:
    plan, phase, group = only_phase(bench, "ring", "reduce_scatter")
    broken = replace(plan, phases=(replace(phase, messages=(2,) * 4),))
    with pytest.raises(InputError, match=r"reduce_scatter: .* ends without the contribution of rank \d"):
        check_plan(broken, Kind("reduce_scatter"), group)


def test_a_ring_that_always_reduces_adds_twice(bench: Bench) -> None:
    plan, phase, group = only_phase(bench, "ring", "all_reduce")
    broken = replace(phase, carries=lambda index, step: phase.carries(index, step)._replace(reduces=True))
    with pytest.raises(
        InputError, match="step 3: adds the contribution of rank 1 to block 0 of node0/gpu1 twice"
    ):
        check_plan(replace(plan, phases=(broken,)), Kind("all_reduce"), group)


def test_a_message_of_what_the_sender_never_had_is_caught(bench: Bench) -> None:
    plan, phase, group = only_phase(bench, "ring", "all_gather")
    broken = replace(phase, carries=lambda index, _: Payload(((index + 2) % 4,)))
    with pytest.raises(InputError, match="step 0: node0/gpu0 does not have block 2"):
        check_plan(replace(plan, phases=(broken,)), Kind("all_gather"), group)
