"""A replayed trace takes as long as a few lines of arithmetic say."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest
from chakra_traces import collective, compute, receive, replay, send
from hypothesis import given, settings
from hypothesis import strategies as st
from training_jobs import cluster

import clustersim as cs
from clustersim import catalog
from clustersim.collectives import Communicator
from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH
from clustersim.engine.world import World
from clustersim.errors import CannotRunError, InputError
from clustersim.results.columns import documented_metrics, documented_tables
from clustersim.topology import Topology
from clustersim.workloads.chakra.messages import CollectiveType, Node, NodeType
from clustersim.workloads.chakra.trace_files import write_file

SIZE = 1 << 20
PARTS = ("compute_s", "exposed_communication_s", "host_s", "idle_s")


def alone_s(kind: str, size: float = SIZE, ranks: int = 2) -> float:
    topology = cluster()
    return Communicator(World(topology), topology.gpus[:ranks], owner="probe").alone_s(kind, size)


def seconds(folder: Path, *ranks: list[Node], **fields: object) -> float:
    workload, _ = replay(folder, *ranks, **fields)  # type: ignore[arg-type]
    return workload.outcome().metrics["iteration_s.mean"]


def test_a_gpu_computes_one_node_at_a_time(tmp_path: Path) -> None:
    nodes = [compute(0, 100), compute(1, 50), compute(2, 25, after=[0])]
    assert seconds(tmp_path, nodes) == pytest.approx(175e-6)


def test_the_first_ready_node_of_the_file_goes_first(tmp_path: Path) -> None:
    nodes = [compute(5, 10), compute(6, 20), compute(2, 30)]
    _, world = replay(tmp_path, nodes)
    assert [row.label for row in world.trace.rows] == ["compute 5", "compute 6", "compute 2"]


def test_work_of_the_host_runs_beside_that_of_the_gpu(tmp_path: Path) -> None:
    nodes = [compute(0, 100), compute(1, 160, is_cpu_op=True)]
    workload, _ = replay(tmp_path, nodes)
    metrics = workload.outcome().metrics
    assert metrics["iteration_s.mean"] == pytest.approx(160e-6)
    assert metrics["host_s"] == pytest.approx(60e-6)
    assert workload.outcome().attribution == {HOST: pytest.approx(1.0)}


def test_control_dependencies_count_as_data_dependencies_do(tmp_path: Path) -> None:
    second = Node(1, "after", NodeType.COMP_NODE, ctrl_deps=(0,), duration_micros=10)
    first = compute(0, 100, is_cpu_op=True)
    assert seconds(tmp_path, [first, second]) == pytest.approx(110e-6)


@pytest.mark.parametrize(
    ("kind", "name", "parts"),
    [
        (CollectiveType.ALL_REDUCE, "all_reduce", 1),
        (CollectiveType.ALL_GATHER, "all_gather", 4),
        (CollectiveType.REDUCE_SCATTER, "reduce_scatter", 1),
        (CollectiveType.ALL_TO_ALL, "all_to_all", 1),
        (CollectiveType.BROADCAST, "broadcast:0", 1),
        (CollectiveType.BARRIER, "barrier", 1),
    ],
)
def test_a_collective_begins_with_its_last_rank_and_takes_what_it_takes(
    tmp_path: Path, kind: CollectiveType, name: str, parts: int
) -> None:
    ranks = [[compute(0, 100 * rank), collective(1, kind, after=[0])] for rank in range(4)]
    expected = 300e-6 + alone_s(name, parts * SIZE, ranks=4)
    assert seconds(tmp_path, *ranks) == pytest.approx(expected)


def test_collectives_of_one_group_wait_in_line_those_of_two_run_beside_each_other(tmp_path: Path) -> None:
    (tmp_path / "groups.json").write_text('{"1": [0, 1], "2": [0, 1]}')
    once_s = alone_s("all_reduce")
    for second, start_s in (("1", once_s), ("2", 0.0)):
        nodes = [collective(0, pg_name="1"), collective(1, pg_name=second)]
        _, world = replay(tmp_path, nodes, nodes, groups="groups.json")
        assert [row.start_s for row in world.trace.rows] == pytest.approx([0.0, start_s])


def test_a_send_waits_for_nobody_and_its_receive_for_what_is_sent(tmp_path: Path) -> None:
    sent_s = alone_s("send_recv:0:1")
    first = [send(0, 1), compute(1, 10)]
    late = [compute(0, 5000), receive(1, 0, after=[0]), compute(2, 10, after=[1])]
    early = [receive(1, 0), compute(2, 10, after=[1])]
    assert seconds(tmp_path, first, late) == pytest.approx(5010e-6)
    assert seconds(tmp_path, first, early) == pytest.approx(sent_s + 10e-6)


def test_what_a_rank_sends_to_itself_and_a_group_of_one_take_no_time(tmp_path: Path) -> None:
    nodes = [send(0, 0), receive(1, 0), collective(2), compute(3, 7, after=[1, 2])]
    assert seconds(tmp_path, nodes) == pytest.approx(7e-6)


def test_a_node_without_duration_takes_what_a_roofline_says(tmp_path: Path) -> None:
    gpu = catalog.accelerator("a100-sxm4-40gb")
    flops, size = 10**12, 10**10
    busy = compute(0, 1, num_ops=flops)
    assert seconds(tmp_path, [compute(0, 0, num_ops=flops)]) == pytest.approx(flops / gpu.peak("bf16"))
    assert seconds(tmp_path, [busy]) == pytest.approx(1e-6)
    assert seconds(tmp_path, [busy], compute="roofline", precision="fp16") == pytest.approx(
        flops / gpu.peak("fp16")
    )
    workload, _ = replay(tmp_path, [compute(0, 0, num_ops=1, tensor_size=size)])
    outcome = workload.outcome()
    assert outcome.metrics["iteration_s.mean"] == pytest.approx(size / gpu.memory_bandwidth_bytes_per_s)
    assert outcome.attribution == {MEMORY_BANDWIDTH: pytest.approx(1.0)}
    with pytest.raises(InputError, match="precision: a100-sxm4-40gb has no peak rate for 'fp8'"):
        replay(tmp_path, [busy], precision="fp8")


def test_memory_nodes_move_bytes_to_a_host_that_has_to_be_there(tmp_path: Path) -> None:
    def node(micros: int) -> Node:
        attributes = {"tensor_size": SIZE}
        return Node(0, "load", NodeType.MEM_LOAD_NODE, duration_micros=micros, attributes=attributes)

    assert seconds(tmp_path, [node(40)]) == pytest.approx(40e-6)
    workload, world = replay(tmp_path, [node(0)])
    pcie = [link for row in world.trace.rows for link in row.shares if "host" in link]
    assert pcie
    assert workload.outcome().metrics["exposed_communication_s"] > 0.0
    graph = nx.MultiDiGraph(cluster().graph)
    graph.remove_nodes_from([vertex for vertex, kind in graph.nodes(data="kind") if kind == "host"])
    with pytest.raises(CannotRunError, match="trace: 'node0' has no host"):
        replay(tmp_path, [node(0)], topology=Topology(graph))


def test_contention_makes_kernels_longer_while_a_collective_runs(tmp_path: Path) -> None:
    ranks = [[collective(0), compute(1, 5000)]] * 2
    slowdown = catalog.accelerator("a100-sxm4-40gb").slowdown_beside_collective("scale_up")
    lost_s = alone_s("all_reduce") * (1 - 1 / slowdown)
    assert seconds(tmp_path, *ranks) == pytest.approx(5000e-6)
    assert seconds(tmp_path, *ranks, contention=True) == pytest.approx(5000e-6 + lost_s)


def test_iterations_follow_each_other_and_are_alike(tmp_path: Path) -> None:
    ranks = [[compute(0, 100 + rank), collective(1, after=[0])] for rank in range(2)]
    workload, _ = replay(tmp_path, *ranks, iterations=3, start="1 ms")
    table = workload.outcome().tables["iterations"]
    once_s = 101e-6 + alone_s("all_reduce")
    assert table["duration_s"] == pytest.approx([once_s] * 3)
    assert table["start_s"] == pytest.approx([1e-3 + once_s * number for number in range(3)])
    assert workload.outcome().complete
    assert workload.progress() == 1.0


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_parts_add_up_and_no_rank_is_faster_than_its_longest_chain(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any graph without circles, with all-reduces that both ranks meet for in the same order."""
    count = data.draw(st.integers(1, 8))
    joint = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    ranks: list[list[Node]] = []
    for _ in range(2):
        nodes = []
        for number in range(count):
            after = data.draw(st.lists(st.integers(0, number - 1), unique=True)) if number else []
            micros = data.draw(st.integers(0, 500))
            nodes.append(collective(number, after=after) if joint[number] else compute(number, micros, after))
        ranks.append(nodes)
    workload, _ = replay(tmp_path_factory.mktemp("trace"), *ranks)
    outcome = workload.outcome()
    duration_s = outcome.metrics["iteration_s.mean"]
    assert sum(outcome.metrics[name] for name in PARTS) == pytest.approx(duration_s, abs=1e-15)
    least_s = max(sum(node.duration_micros for node in nodes) for nodes in ranks) * 1e-6
    assert duration_s >= least_s * (1 - 1e-12)
    assert duration_s >= sum(joint) * alone_s("all_reduce") * (1 - 1e-9)
    if duration_s:
        assert sum(outcome.attribution.values()) == pytest.approx(1.0)
    if not any(joint):
        assert set(outcome.attribution) <= {COMPUTE}


def test_every_metric_and_column_is_documented(tmp_path: Path) -> None:
    workload, _ = replay(tmp_path, [compute(0, 1)])
    outcome = workload.outcome()
    assert {name.partition(".")[0] for name in outcome.metrics} == documented_metrics("chakra").keys()
    tables = documented_tables("chakra")
    assert {name: list(columns) for name, columns in outcome.tables.items()} == {
        name: [column.name for column in columns] for name, columns in tables.items()
    }


def test_files_of_a_trace_count_for_the_hash_and_are_found_again_from_the_kept_scenario(
    tmp_path: Path,
) -> None:
    (tmp_path / "groups.json").write_text('{"1": [0, 1]}')
    replay(tmp_path, *[[collective(0, pg_name="1")]] * 2, groups="groups.json")
    trace = {"name": "x", "kind": "chakra", "trace": "x", "groups": "groups.json", "gpus": 2}
    topology = {"kind": "star", "nodes": 1, "node": "a100-40gb-x4"}
    data = {"name": "s", "cluster": {"topology": topology}, "workloads": [trace]}
    scenario = cs.Scenario.from_dict(data, base_dir=tmp_path)
    first = cs.run(scenario)
    first.save(tmp_path / "kept")
    again = cs.run(cs.load(tmp_path / "kept" / "scenario.yaml"))
    assert again.outcome("x").metrics == first.outcome("x").metrics
    assert again.content_hash == first.content_hash
    write_file(tmp_path / "x.1.et", [collective(0, size=8, pg_name="1")])
    assert scenario.content_hash() != first.content_hash
