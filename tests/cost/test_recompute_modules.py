"""Modules that are recomputed: their results are not kept, and their kernels run again backward."""

from __future__ import annotations

import pytest
from training_shapes import H100, cost, layer, short

from clustersim.cost.training.shard import Shard
from clustersim.cost.training.training_cost import LayerCost

TOKENS = 1024


def blocks(name: str, *modules: str, precision: str = "bf16", place: int = 0) -> tuple[LayerCost, LayerCost]:
    found = cost(
        short(name),
        H100,
        micro_batch=1,
        sequence=TOKENS,
        precision=precision,
        shard=Shard(expert=8),
        modules=modules,
    )
    return layer(found, place)[:2]


@pytest.mark.parametrize("precision", ["bf16", "fp8"])
def test_the_activation_of_experts_is_not_kept_for_the_product_behind_it(precision: str) -> None:
    model = short("qwen3-30b-a3b")
    kept, dropped = (
        blocks(model.name, *modules, precision=precision)[1] for modules in ((), ("expert_activation",))
    )
    width = 2 if precision == "bf16" else 1
    inputs = TOKENS * model.moe.experts_per_token * model.moe.ffn_hidden * width
    assert kept.activation_bytes - dropped.activation_bytes == inputs
    assert dropped.recomputed_bytes == inputs
    assert 0.0 < dropped.recompute.seconds < 0.1 * dropped.forward.seconds + 1e-4


def test_results_of_norms_are_not_kept() -> None:
    hidden = short("qwen3-30b-a3b").hidden
    for kept, dropped in zip(blocks("qwen3-30b-a3b"), blocks("qwen3-30b-a3b", "norms"), strict=True):
        assert kept.activation_bytes - dropped.activation_bytes == TOKENS * hidden * 2
        assert dropped.recompute.seconds > 0.0


def test_expanded_queries_keys_and_values_are_not_kept() -> None:
    model = short("deepseek-v3")
    kept, dropped = (blocks("deepseek-v3", *modules)[0] for modules in ((), ("latent_projections",)))
    mla = model.mla
    key = mla.qk_nope_head_dim + mla.qk_rope_head_dim
    expanded = TOKENS * model.heads * (2 * key + mla.v_head_dim) * 2
    assert kept.activation_bytes - dropped.activation_bytes == expanded
    assert dropped.recompute.seconds > 0.0


def test_a_dense_part_keeps_its_input_alone() -> None:
    kept, dropped = (blocks("llama-3-8b", *modules)[1] for modules in ((), ("feed_forward",)))
    hidden = short("llama-3-8b").hidden
    norm = TOKENS * hidden * 2
    assert dropped.activation_bytes == 2 * norm
    assert dropped.recomputed_bytes == kept.activation_bytes - dropped.activation_bytes
    assert dropped.recompute.seconds == pytest.approx(kept.forward.seconds, rel=0.15)


def test_what_is_recomputed_counts_for_hardware_flops_only() -> None:
    found = [
        cost(short("deepseek-v3"), H100, micro_batch=1, sequence=TOKENS, modules=modules).flops
        for modules in ((), ("latent_projections",))
    ]
    assert found[0].model == found[1].model
    assert found[1].hardware > found[0].hardware
