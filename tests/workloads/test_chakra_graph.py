"""Nodes that do not fit together are refused, with the file and the node."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chakra_traces import collective, compute, receive, send, traces

from clustersim.errors import InputError
from clustersim.workloads.chakra.groups import Groups
from clustersim.workloads.chakra.matching import build_graph
from clustersim.workloads.chakra.messages import CollectiveType, Node

GATHER, SCATTERED = CollectiveType.ALL_GATHER, CollectiveType.REDUCE_SCATTER


def refused(*ranks: list[Node], groups: Groups | None = None) -> str:
    with pytest.raises(InputError) as caught:
        build_graph(traces(*ranks), groups or {})
    return str(caught.value)


def test_all_ids_and_dependencies_are_checked_at_once() -> None:
    said = refused([compute(1, after=[9]), compute(1), compute(2, after=[8])])
    assert "x.0.et: node 1 ('compute 1'): it waits for node 9, which does not exist" in said
    assert "x.0.et: node 1 ('compute 1'): its id is that of an earlier node" in said
    assert "it waits for node 8" in said


def test_a_circle_within_a_rank_is_named() -> None:
    said = refused([compute(0), compute(1, after=[0, 3]), compute(2, after=[1]), compute(3, after=[2])])
    assert "wait for each other in a circle" in said
    assert "node 1 ('compute 1') → x.0.et node 2 ('compute 2') → x.0.et node 3 ('compute 3')" in said


def test_a_circle_over_ranks_is_named() -> None:
    """Each rank has the other's collective wait for its own."""
    first = [collective(0, pg_name="1", after=[1]), collective(1, pg_name="2")]
    second = [collective(0, pg_name="1"), collective(1, pg_name="2", after=[0])]
    said = refused(first, second, groups={"1": (0, 1), "2": (0, 1)})
    assert "wait for each other in a circle" in said
    assert "x.0.et" in said
    assert "x.1.et" in said


def test_a_receive_that_its_own_send_waits_for_is_a_circle() -> None:
    said = refused([receive(0, 1), send(1, 1, after=[0])], [receive(0, 0), send(1, 0, after=[0])])
    assert "wait for each other in a circle" in said


def test_a_send_that_nobody_receives_is_refused_and_the_reverse() -> None:
    assert "x.0.et: node 4 ('send 4'): x.1.et has no receive that meets it (from 0 to 1, tag 7)" in refused(
        [send(4, 1, tag=7)], [receive(5, 0, tag=8)]
    )
    assert "x.1.et: node 5 ('receive 5'): x.0.et has no send" in refused([], [receive(5, 0)])
    assert "comm_dst is 2; there are ranks 0 to 1" in refused([send(4, 2)], [])


def test_sends_meet_receives_of_their_tag_in_the_order_of_the_files() -> None:
    first = [send(0, 1, 10, tag=1), send(1, 1, 20, tag=2), send(2, 1, 30, tag=1)]
    second = [receive(0, 0, 20, tag=2), receive(1, 0, 10, tag=1), receive(2, 0, 30, tag=1)]
    joints = build_graph(traces(first, second), {}).joints
    assert {tuple(task.node.id for task in joint.tasks) for joint in joints} == {(0, 1), (1, 0), (2, 2)}
    assert "it sends 10 B, node 1 of x.1.et receives 20 B" in refused(
        first[:1], [replace(second[0], id=1, attributes=dict(second[0].attributes, comm_tag=1))]
    )


def test_collectives_that_do_not_agree_are_refused() -> None:
    assert "rank 1 has no collective that would meet it: x.1.et has fewer" in refused([collective(3)], [])
    assert "it is all-reduce of 8 B; node 3 of x.0.et, which it meets, is all-reduce of 4 B" in refused(
        [collective(3, size=4)], [collective(6, size=8)]
    )
    assert "is all-gather of 4 B" in refused([collective(3, GATHER, 4)], [collective(6, SCATTERED, 4)])
    wrong = replace(collective(3), attributes={"comm_type": 99, "comm_size": 4})
    assert "comm_type 99 is unknown" in refused([wrong], [wrong])
    sizeless = replace(collective(3), attributes={"comm_type": 0})
    assert "its attribute 'comm_size' is missing; a whole number from 0 is due" in refused(
        [sizeless], [sizeless]
    )


def test_groups_that_do_not_exist_or_lack_the_rank_are_refused() -> None:
    groups = {"11": (0, 1), "12": (1,)}
    said = refused([collective(0, pg_name="13")], [], groups=groups)
    assert "its group '13' is not in the file of groups (workload's 'groups')" in said
    assert "its group '12' has ranks [1], not rank 0" in refused(
        [collective(0, pg_name="12")], [], groups=groups
    )
    assert "'involved_dim' leaves dimensions" in refused([collective(0, involved_dim=(True, False))], [])


def test_the_group_of_all_ranks_has_no_name_or_is_called_0() -> None:
    joints = build_graph(traces([collective(0)], [collective(0, pg_name="0")]), {}).joints
    assert [joint.group for joint in joints] == [(0, 1)]


def test_an_all_gather_says_what_one_rank_gives_a_reduce_scatter_what_one_rank_has() -> None:
    """A rank's part against the whole buffer, as ASTRA-sim counts them."""
    for kind, size in ((GATHER, 2000), (SCATTERED, 1000), (CollectiveType.ALL_REDUCE, 1000)):
        nodes = [collective(0, kind, 1000)]
        assert build_graph(traces(nodes, nodes), {}).joints[0].size_bytes == size
