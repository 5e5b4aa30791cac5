"""A job that is written as a trace and run again takes the same time; other readers find what they expect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from training_jobs import cluster, job, run, workload

from clustersim.cli import main
from clustersim.engine.world import World
from clustersim.interchange.chakra import export
from clustersim.interchange.chakra.rank_writer import RankWriter
from clustersim.spec.chakra import ChakraSpec
from clustersim.workloads.chakra import ChakraWorkload
from clustersim.workloads.chakra.messages import NodeType
from clustersim.workloads.chakra.trace_files import read_file, read_trace

JOB: dict[str, Any] = {
    "micro_batch": 4,
    "global_batch": 32,
    "steps": 1,
    "host": {"kernel_launch": "0 s"},  # a trace does not know behind which collectives a host catches up
}
APART = {"enabled": False, "parameters": False, "tensor_backward": False}


def again_s(folder: Path, **fields: Any) -> float:
    """Length of an iteration of what was exported to a folder."""
    given = {"kind": "chakra", "name": "again", "trace": "job", "groups": "job.groups.json", "gpus": 8}
    topology, spec = cluster(), ChakraSpec.model_validate(given | fields)
    world = World(topology)
    replayed = ChakraWorkload(spec, topology=topology, gpus=topology.gpus[:8], base=folder)
    world.env.run(until=replayed.start(world))
    return replayed.outcome().metrics["iteration_s.mean"]


@pytest.mark.parametrize(
    ("parallelism", "overlap"),
    [
        ({"pipeline": 2}, APART),
        ({"pipeline": 2}, {}),
        ({"pipeline": 2, "virtual_stages": 2}, {}),
        ({"pipeline": 2, "tensor": 2, "sequence": True}, APART),
        ({"zero": 1}, APART),
        ({"zero": 3}, {}),
    ],
    ids=["pipeline apart", "pipeline", "interleaved", "tensor and pipeline apart", "zero 1 apart", "zero 3"],
)
def test_a_job_that_is_exported_and_replayed_takes_as_long_as_itself(
    tmp_path: Path, parallelism: dict[str, Any], overlap: dict[str, Any]
) -> None:
    training, _ = run(job(**JOB, parallelism=parallelism, overlap=overlap), cluster())
    export(training, tmp_path)
    expected_s = training.outcome().metrics["iteration_s.mean"]
    assert again_s(tmp_path, contention=True) == pytest.approx(expected_s, rel=1e-4)


def test_without_contention_only_what_runs_beside_collectives_is_faster(tmp_path: Path) -> None:
    training, _ = run(job(**JOB, parallelism={"pipeline": 2}), cluster())
    export(training, tmp_path)
    expected_s = training.outcome().metrics["iteration_s.mean"]
    assert 0.95 * expected_s < again_s(tmp_path) < expected_s * (1 - 1e-3)


def test_a_slow_gpu_is_slow_in_its_file_alone(tmp_path: Path) -> None:
    export(workload(job(**JOB, stragglers=[{"gpu": 3, "slowdown": 2.0}]), cluster()), tmp_path)
    busy = [
        sum(node.duration_micros for node in trace.nodes) for trace in read_trace(tmp_path / "job", ranks=8)
    ]
    assert busy[3] == pytest.approx(2 * busy[0], rel=1e-3)
    assert len(set(busy[:3] + busy[4:])) == 1


def test_files_hold_what_astra_sim_looks_for(tmp_path: Path) -> None:
    written = export(workload(job(**JOB, parallelism={"pipeline": 2}), cluster()), tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.et")) == [f"job.{rank}.et" for rank in range(8)]
    groups = json.loads(written.groups.read_text())
    assert all(int(name) > 0 for name in groups)  # 0 stands for all ranks
    first = read_file(tmp_path / "job.0.et", 0)
    assert [node.id for node in first.nodes] == list(range(len(first.nodes)))
    for node in first.nodes:
        assert all(parent < node.id for parent in node.data_deps)
        assert not node.ctrl_deps
        assert node.attributes["is_cpu_op"] is False
        if node.type == NodeType.COMM_COLL_NODE:
            assert 0 in groups[str(node.attributes["pg_name"])]
        if node.type == NodeType.COMM_SEND_NODE:
            assert node.attributes["comm_src"] == 0
    assert {node.type for node in first.nodes} == {
        NodeType.COMP_NODE,
        NodeType.COMM_SEND_NODE,
        NodeType.COMM_RECV_NODE,
        NodeType.COMM_COLL_NODE,
    }


def test_an_all_gather_is_written_as_what_one_rank_gives(tmp_path: Path) -> None:
    writer = RankWriter()
    for number, kind in enumerate(("all_gather", "reduce_scatter", "all_reduce", "all_to_all")):
        writer.collective(str(number), kind, kind, 4000.0, stream="s", ranks=4, group="1", after="")
    assert [node.attributes["comm_size"] for node in writer.nodes] == [1000, 4000, 4000, 4000]


def test_rounding_of_durations_does_not_add_up() -> None:
    writer = RankWriter()
    for _ in range(1000):
        writer.compute("kernels", 1.4e-6)
    assert sum(node.duration_micros for node in writer.nodes) == 1400
    assert {node.duration_micros for node in writer.nodes} == {1, 2}


def test_what_comes_next_waits_for_what_the_lane_has_passed_and_for_its_stream() -> None:
    writer = RankWriter()
    writer.compute("forward", 1e-3)
    writer.collective("a", "a", "all_reduce", 8.0, stream="data", ranks=2, group="", after="")
    writer.collective("b", "b", "all_reduce", 8.0, stream="data", ranks=2, group="", after="")
    writer.collective("c", "c", "all_reduce", 8.0, stream="norm", ranks=2, group="", after="b")
    writer.compute("backward", 1e-3)
    writer.receive("gradients", 8.0, source=1, target=0, tag=0)
    writer.wait("c")
    writer.wait("nothing of that name was begun")
    writer.compute("update", 1e-3)
    assert [node.data_deps for node in writer.nodes] == [(), (0,), (0, 1), (0, 2), (0,), (4,), (4, 5, 3)]


def test_the_command_writes_a_trace_and_refuses_what_is_no_training_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = "scenarios/resnet50-on-dgx-a100.yaml"
    assert main(["chakra", "export", scenario, "--out", str(tmp_path)]) == 0
    assert "of 8 ranks" in capsys.readouterr().out
    assert len(list(tmp_path.glob("resnet50.*.et"))) == 8
    assert main(["chakra", "export", scenario, "--workload", "resnet5", "--out", str(tmp_path)]) == 2
    assert "has no training job 'resnet5'. Did you mean 'resnet50'?" in capsys.readouterr().err
    chat = "scenarios/chat-on-one-dgx-h100.yaml"
    assert main(["chakra", "export", chat, "--out", str(tmp_path)]) == 2
    assert "the scenario has no training job" in capsys.readouterr().err


def test_offload_to_the_host_becomes_memory_nodes_that_are_run_again(tmp_path: Path) -> None:
    training, _ = run(job(**JOB, overlap=APART, offload={"optimizer": True}), cluster())
    export(training, tmp_path)
    kinds = [node.type for node in read_file(tmp_path / "job.0.et", 0).nodes]
    assert NodeType.MEM_STORE_NODE in kinds
    assert NodeType.MEM_LOAD_NODE in kinds
    expected_s = training.outcome().metrics["iteration_s.mean"]
    assert again_s(tmp_path, contention=True) == pytest.approx(expected_s, rel=1e-2)
