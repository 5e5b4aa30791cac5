"""What a token takes of a service: counted from step logs, beside what links carried."""

from __future__ import annotations

from typing import Any

import pytest

import clustersim as cs


def _ran(**service: Any) -> tuple[cs.Result, dict[str, float]]:
    data: dict[str, Any] = {
        "name": "needs",
        "cluster": {"topology": {"kind": "star", "nodes": 1, "node": "dgx-h100"}},
        "workloads": [
            {
                "name": "chat",
                "kind": "inference",
                "model": "llama-3.1-8b",
                "arrivals": {"kind": "poisson", "rate": "4/s"},
                "lengths": {"prompt": 512, "output": 64},
                "requests": 12,
                "collective": {"algorithm": "ring"},
                **service,
            }
        ],
    }
    result = cs.run(cs.Scenario.from_dict(data))
    return result, dict(result.outcomes["chat"].metrics)


def test_network_bytes_are_those_that_gpus_send() -> None:
    result, metrics = _ran(parallelism={"tensor": 4})
    fabric = result.fabric
    sent = sum(
        carried
        for name, carried in zip(fabric.names, fabric.carried_bytes.tolist(), strict=True)
        if "/gpu" in name.partition(">")[0]
    )
    assert metrics["work.network_bytes_per_unit"] * 12 * 575 == pytest.approx(sent, rel=0.01)


def test_one_gpu_needs_no_network_and_all_weights_for_each_decode_step() -> None:
    _, metrics = _ran()
    assert metrics["work.network_bytes_per_unit"] == 0.0
    assert metrics["work.messages_per_unit"] == 0.0
    # 64 decode steps of 8 B parameters in 2 bytes for 575 tokens, shared by few requests at a time.
    assert 2 * 8e9 * 64 / 575 / 12 < metrics["work.hbm_bytes_per_unit"] < 2 * 8e9 * 64 / 575 * 1.5


def test_flops_are_two_per_parameter_of_a_token() -> None:
    _, metrics = _ran()
    assert metrics["work.flops_per_unit"] == pytest.approx(2 * 7.5e9, rel=0.1)


def test_memory_is_weights_activations_and_the_kv_that_was_used() -> None:
    result, metrics = _ran()
    facts = result.outcomes["chat"].facts
    used = metrics["kv_occupancy.max"] * float(facts["kv_bytes_per_gpu"])
    expected = float(facts["weight_bytes_per_gpu"]) + float(facts["activation_bytes_per_gpu"]) + used
    assert metrics["memory_bytes"] == pytest.approx(expected, rel=1e-9)
