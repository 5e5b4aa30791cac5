"""What a token takes of a training job: counted from the layout, beside what a run puts on links."""

from __future__ import annotations

from typing import Any

import pytest

from clustersim.engine.world import World
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.training import TrainingSpec
from clustersim.topology import build
from clustersim.workloads.training import TrainingWorkload

NODE = build(
    ClusterSpec.model_validate({"topology": {"kind": "star", "nodes": 1, "node": "a100-40gb-x4"}}), base=None
)
OF_GPUS = [link for link, (source, _) in enumerate(NODE.link_ends) if source in NODE.gpus]


def _ran(layout: dict[str, Any], **more: Any) -> tuple[TrainingWorkload, World]:
    spec = TrainingSpec.model_validate(
        {
            "kind": "training",
            "name": "job",
            "model": "gpt2-medium",
            "gpus": 4,
            "micro_batch": 1,
            "global_batch": 16,
            "sequence": 128,
            "steps": 1,
            "fold": "never",
            "parallelism": layout,
            "collective": {"algorithm": "ring"},
            **more,
        }
    )
    world = World(NODE)
    workload = TrainingWorkload(spec, topology=NODE, gpus=NODE.gpus[: spec.gpus])
    world.env.run(until=workload.start(world))
    return workload, world


@pytest.mark.parametrize(
    "layout",
    [{}, {"zero": 1}, {"zero": 3}, {"tensor": 4}, {"tensor": 2, "zero": 1}, {"tensor": 2, "pipeline": 2}],
    ids=str,
)
def test_network_bytes_are_those_that_gpus_send_in_a_simulated_iteration(layout: dict[str, Any]) -> None:
    workload, world = _ran(layout)
    tokens = 16 * 128
    sent = float(world.fabric.usage().bytes[OF_GPUS].sum())
    needed = workload.metrics()["work.network_bytes_per_unit"] * tokens
    assert needed == pytest.approx(sent, rel=1e-3)  # the norm's four bytes are not counted


def test_a_job_on_one_gpu_needs_no_network() -> None:
    workload, _ = _ran({}, gpus=1)
    metrics = workload.metrics()
    assert metrics["work.network_bytes_per_unit"] == 0.0
    assert metrics["work.messages_per_unit"] == 0.0


def test_flops_per_token_are_six_per_parameter_and_attention() -> None:
    workload, _ = _ran({})
    metrics, parameters = workload.metrics(), workload.job.model.parameters
    attention = 12 * 24 * 1024 * 128  # 12 · layers · hidden · sequence, over all pairs
    assert metrics["work.flops_per_unit"] == pytest.approx(6 * parameters + attention, rel=0.02)


def test_full_recomputation_adds_a_forward_pass_of_flops_and_bytes() -> None:
    kept, again = (_ran({}, recompute=how)[0].metrics() for how in ("none", "full"))
    assert 1.2 < again["work.flops_per_unit"] / kept["work.flops_per_unit"] < 4 / 3
    assert 1.05 < again["work.hbm_bytes_per_unit"] / kept["work.hbm_bytes_per_unit"] < 1.5


def test_weights_are_read_once_a_pass_so_larger_micro_batches_need_fewer_bytes_per_token() -> None:
    one, four = (_ran({"tensor": 4}, micro_batch=size)[0].metrics() for size in (1, 4))
    assert four["work.hbm_bytes_per_unit"] < one["work.hbm_bytes_per_unit"]
    assert four["work.messages_per_unit"] == pytest.approx(one["work.messages_per_unit"] / 4, rel=0.02)
