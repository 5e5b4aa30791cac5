"""Mixtures of experts in training: what goes to the experts, and what they compute."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_shapes import H100, cost, layer, short

from clustersim.cost.training.passes import TransformerPass
from clustersim.cost.training.shard import WHOLE, Shard
from clustersim.cost.training.transformer import transformer_blocks
from clustersim.errors import InputError

S, B = 1024, 1
MODELS = ["mixtral-8x7b", "qwen3-30b-a3b"]


def expert_flops(name: str, shard: Shard) -> float:
    run = TransformerPass(
        model=short(name), samples=B, sequence=S, arithmetic="bf16", attention="fused", shard=shard
    )
    (block, *_) = (each for each in transformer_blocks(run) if each.name == "layer0.ffn")
    return sum(op.flops for op in block.part.forward if op.name in ("up", "down"))


def ffn(name: str, shard: Shard, **options):
    return layer(cost(short(name), H100, micro_batch=B, sequence=S, shard=shard, **options))[1]


expert_shards = st.sampled_from(
    [
        WHOLE,
        Shard(expert=8),
        Shard(expert=4, expert_tensor=2),
        Shard(tensor=4, sequence=True, expert=2, expert_tensor=4),
        Shard(tensor=4, sequence=True, expert=8, expert_tensor=1),
        Shard(tensor=2, context=2, sequence=True, expert=8, expert_tensor=1),
        Shard(tensor=4, expert_tensor=4),
    ]
)


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(MODELS), shard=expert_shards)
def test_all_gpus_together_hold_every_expert_once(name, shard):
    model = short(name)
    found = ffn(name, shard)
    routed = 3 * model.hidden * model.moe.ffn_hidden * model.moe.experts
    assert found.expert_parameters * shard.expert * shard.expert_tensor == routed
    assert found.parameters == model.hidden * model.moe.experts + model.norm_parameters


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(MODELS), shard=expert_shards)
def test_all_gpus_together_compute_every_token_at_each_of_its_experts(name, shard):
    """Every GPU routes the tokens of its residual stream, and takes in as many copies as it sends."""
    moe, hidden = short(name).moe, short(name).hidden
    copies = B * S * moe.experts_per_token
    expected = copies * 3 * 2 * hidden * moe.ffn_hidden
    shares = shard.residual_parts if shard.divides_sequence or shard.tensor == 1 else shard.tensor
    assert expert_flops(name, shard) * shares == pytest.approx(expected)


def test_copies_of_tokens_go_to_their_experts_and_come_back():
    model = short("mixtral-8x7b")
    found = ffn("mixtral-8x7b", Shard(tensor=4, sequence=True, expert=8, expert_tensor=1))
    size = B * S / 4 * 2 * model.hidden * 2
    said = [(each.dimension, each.collective, each.size_bytes) for each in found.messages_forward]
    assert said == [("expert", "all_to_all", size)] * 2
    assert [each[:3] for each in said] == [
        (each.dimension, each.collective, each.size_bytes) for each in found.messages_backward
    ]
    assert all(each.hideable_s > 0.0 == each.asynchronous_s for each in found.messages_forward)


def test_a_divided_expert_gathers_what_each_of_its_gpus_got():
    model = short("mixtral-8x7b")
    found = ffn("mixtral-8x7b", Shard(expert=4, expert_tensor=2))
    size = B * S * 2 * model.hidden * 2
    assert [(each.dimension, each.collective, each.size_bytes) for each in found.messages_forward] == [
        ("expert", "all_to_all", size),
        ("expert_tensor", "all_gather", 2 * size),
        ("expert_tensor", "reduce_scatter", 2 * size),
        ("expert", "all_to_all", size),
    ]


def test_experts_divided_as_the_rest_of_a_layer_end_in_an_all_reduce():
    found = ffn("mixtral-8x7b", Shard(tensor=4, expert_tensor=4))
    size = B * S * 4096 * 2
    for messages in (found.messages_forward, found.messages_backward):
        assert [(each.dimension, each.collective, each.size_bytes) for each in messages] == [
            ("tensor", "all_reduce", size)
        ]


@settings(max_examples=15, deadline=None)
@given(load=st.floats(1.0, 4.0), capacity=st.none() | st.floats(1.0, 2.0))
def test_the_busiest_experts_set_the_pace_up_to_their_capacity(load, capacity):
    even, skewed = (Shard(expert=8, expert_load=each, capacity_factor=capacity) for each in (1.0, load))
    share = load if capacity is None else min(load, capacity)
    flops = [expert_flops("mixtral-8x7b", shard) for shard in (even, skewed)]
    assert flops[1] == pytest.approx(share * flops[0])
    sizes = [ffn("mixtral-8x7b", shard).messages_forward[0].size_bytes for shard in (even, skewed)]
    assert sizes[1] == pytest.approx(share * sizes[0])


def test_shared_experts_are_divided_over_the_tensor_group():
    model = short("deepseek-v3", layers=4)
    found = cost(
        model,
        H100,
        micro_batch=B,
        sequence=S,
        shard=Shard(tensor=2, sequence=True, expert=64, expert_tensor=1),
    )
    dense, mixture = layer(found, 2)[1], layer(found, 3)[1]
    moe = model.moe
    shared = 3 * model.hidden * moe.ffn_hidden // 2
    assert mixture.parameters == shared + model.hidden * moe.experts + model.norm_parameters
    assert mixture.expert_parameters == 3 * model.hidden * moe.ffn_hidden * moe.experts // 64
    assert dense.expert_parameters == 0
    assert dense.parameters == 3 * model.hidden * model.ffn_hidden // 2 + model.norm_parameters


def test_experts_divided_otherwise_than_the_layer_need_sequence_parallelism():
    with pytest.raises(InputError, match="routes tokens of its own"):
        ffn("mixtral-8x7b", Shard(tensor=4, expert=2, expert_tensor=4))


def test_latent_attention_gathers_narrow_results():
    """Compressions see the GPU's own tokens; queries, keys and values are expanded from what is gathered."""
    model = short("deepseek-v3", layers=4)
    shard = Shard(tensor=2, sequence=True, expert=64, expert_tensor=1)
    attention = layer(cost(model, H100, micro_batch=B, sequence=S, shard=shard), 3)[0]
    widths = [each.size_bytes / (S * B * 2) for each in attention.messages_forward]
    assert widths == [model.mla.q_lora_rank, model.mla.kv_lora_rank, model.hidden]
    whole = layer(cost(model, H100, micro_batch=B, sequence=S), 3)[0]
    mla, divided = model.mla, model.heads // 2
    wide = divided * (
        mla.q_lora_rank * (mla.qk_nope_head_dim + mla.qk_rope_head_dim)
        + mla.kv_lora_rank * (mla.qk_nope_head_dim + mla.v_head_dim)
        + mla.v_head_dim * model.hidden
    )
    assert whole.parameters - attention.parameters == wide
