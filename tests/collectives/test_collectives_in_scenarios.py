"""What a scenario says about collectives reaches the runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import clustersim as cs
from clustersim.errors import ClusterSimError

EXCHANGE = """
name: exchange
collective: all_reduce
ranks: 2
chunks: 1
steps:
- - {source: 0, target: 1, chunks: [0], reduce: true}
  - {source: 1, target: 0, chunks: [0], reduce: true}
"""
SCENARIO = """
name: own
cluster:
  topology: {{kind: star, nodes: 2, node: dgx-a100}}
workloads:
  - name: pretrain
    kind: training
    model: gpt2-xl
    gpus: {gpus}
    micro_batch: 1
    sequence: 256
    collective: {collective}
    steps: 2
"""


def step_s(folder: Path, collective: str, *, gpus: int = 2) -> float:
    (folder / "exchange.yaml").write_text(EXCHANGE)
    path = folder / "scenario.yaml"
    path.write_text(SCENARIO.format(collective=collective, gpus=gpus))
    iterations = cs.run(cs.load(path)).iterations("pretrain")
    return float(iterations["duration_s"].iloc[-1])


def test_a_schedule_in_a_file_beside_the_scenario_runs(tmp_path: Path) -> None:
    own_s = step_s(tmp_path, "{schedule: exchange.yaml}")
    assert own_s == pytest.approx(step_s(tmp_path, "{algorithm: recursive-doubling}"), rel=1e-12)
    assert own_s != pytest.approx(step_s(tmp_path, "{algorithm: one-shot}"), rel=1e-3)


def test_a_schedule_for_other_ranks_ends_the_run_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ClusterSimError, match="'exchange' is for 2 ranks, the group has 4"):
        step_s(tmp_path, "{schedule: exchange.yaml}", gpus=4)


def test_a_schedule_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterSimError, match=r"none\.yaml"):
        step_s(tmp_path, "{schedule: none.yaml}")


def test_channels_and_chunks_reach_the_plan(tmp_path: Path) -> None:
    plain_s, chunked_s = (
        step_s(tmp_path, f"{{algorithm: tree, chunks: {chunks}}}", gpus=16) for chunks in (64, 1)
    )
    assert chunked_s > plain_s


def test_an_algorithm_that_cannot_run_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ClusterSimError, match="coordinates"):
        step_s(tmp_path, "{algorithm: torus}")
