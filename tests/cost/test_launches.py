"""What the host takes for a pass: kernels counted, experts one by one, captured parts for nothing."""

from __future__ import annotations

from typing import Any

import pytest

from clustersim import catalog
from clustersim.cost.launches import LaunchTimes
from clustersim.cost.operators import elementwise, gemm
from clustersim.cost.training.shard import Shard
from clustersim.cost.training.training_cost import LayerCost, training_cost

COUNT = LaunchTimes(kernel_s=1.0, product_s=1.0)
PRODUCTS = LaunchTimes(kernel_s=0.0, product_s=1.0)


def layer(*, experts: int = 8, launches: LaunchTimes = COUNT, **fields: Any) -> tuple[LayerCost, LayerCost]:
    """Attention and experts of a layer of Qwen3-30B with so many experts on each GPU."""
    cost = training_cost(
        catalog.model("qwen3-30b-a3b"),
        catalog.accelerator("h100"),
        precision=fields.pop("precision", "bf16"),
        micro_batch=1,
        sequence=4096,
        shard=Shard(expert=128 // experts, **fields.pop("shard", {})),
        launches=launches,
        **fields,
    )
    return cost.layers[1], cost.layers[2]


def passes(block: LayerCost) -> float:
    return block.host.forward + block.host.backward_input + block.host.backward_weight


def test_a_layer_launches_as_many_kernels_as_was_profiled() -> None:
    """463,348 in 64 passes of 48 layers, 8 experts per GPU (Megatron-Bridge, moe-comm-overlap)."""
    assert sum(map(passes, layer())) == pytest.approx(463_348 / (64 * 48), rel=0.01)


def test_every_expert_more_is_six_products_more() -> None:
    few, many = (sum(map(passes, layer(experts=count))) for count in (8, 16))
    assert many - few == 8 * 6


def test_fp8_casts_the_input_of_each_expert_and_its_gradient() -> None:
    sums = [passes(layer(precision=precision, launches=PRODUCTS)[1]) for precision in ("bf16", "fp8")]
    assert sums[1] - sums[0] == 8 * 4


def test_products_take_the_host_longer_than_other_kernels() -> None:
    times = LaunchTimes(kernel_s=10e-6, product_s=30e-6)
    product = gemm("p", m=64, n=64, k=64, precision="bf16")
    copy = elementwise("c", bytes_moved=1e6, precision="bf16")
    assert times.seconds([product, copy]) == pytest.approx(40e-6)
    assert times.seconds([elementwise("p.cast", bytes_moved=1e6, precision="bf16")]) == pytest.approx(30e-6)


def test_a_blocking_host_waits_for_every_kernel() -> None:
    copy = elementwise("c", bytes_moved=1e6, precision="bf16")
    free, blocking = (
        LaunchTimes(kernel_s=10e-6, product_s=10e-6, blocking=blocks).seconds([copy])
        for blocks in (False, True)
    )
    assert blocking - free == pytest.approx(5.8e-6)


@pytest.mark.parametrize("captured", ["attention", "routing", "experts"])
def test_what_is_captured_costs_the_host_nothing(captured: str) -> None:
    whole, replayed = layer(), layer(captured=(captured,))
    if captured == "attention":
        assert passes(replayed[0]) == 0.0
        assert replayed[1].host == whole[1].host
    else:
        assert replayed[0].host == whole[0].host
        assert passes(replayed[1]) < passes(whole[1])
    assert [block.forward for block in replayed] == [block.forward for block in whole]


def test_only_dropless_experts_of_other_gpus_make_the_host_wait() -> None:
    assert layer()[1].host.restart_s == 1.0
    assert layer(shard={"capacity_factor": 1.0})[1].host.restart_s == 0.0
    assert layer(experts=128)[1].host.restart_s == 0.0
    assert layer(captured=("routing", "experts"))[1].host.restart_s == 0.0
