"""What a GPU holds, computes and says under tensor, sequence and context parallelism."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_shapes import cost, gpt, layer, short, tensor_shards

from clustersim import catalog
from clustersim.cost.training.block import Block
from clustersim.cost.training.passes import TransformerPass
from clustersim.cost.training.shard import WHOLE, Shard
from clustersim.cost.training.transformer import transformer_blocks
from clustersim.errors import CannotRunError

DENSE = ["gpt3-13b", "llama-2-7b", "llama-3-8b", "bert-large"]
S, B = 1024, 2


def blocks(model, shard: Shard = WHOLE, **options) -> tuple[Block, ...]:
    settings = {"samples": B, "sequence": S, "arithmetic": "bf16", "attention": "fused"} | options
    return transformer_blocks(TransformerPass(model=model, shard=shard, **settings))


def products(found, kind: str = "gemm") -> float:
    return sum(op.flops * op.count for block in found for op in block.part.forward if op.kind == kind)


def said(messages) -> list[tuple[str, str, float]]:
    return [
        (each.dimension, each.collective, each.size_bytes) for each in messages for _ in range(each.count)
    ]


@pytest.mark.parametrize("name", [*DENSE, "mixtral-8x7b", "deepseek-v3", "vit-b-16", "palm-540b"])
@pytest.mark.parametrize("shard", [WHOLE, Shard(tensor=4, sequence=True, expert=2, expert_tensor=2)])
def test_the_undivided_parameters_of_all_blocks_are_the_models(name, shard):
    model = catalog.model(name)
    found = blocks(model, shard, sequence=512 if model.vocab else model.max_sequence)
    assert sum(block.parameters_of_model for block in found) == model.parameters
    if shard == WHOLE:
        assert sum(block.part.parameters + block.expert_parameters for block in found) == model.parameters


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(DENSE), shard=tensor_shards)
def test_the_parameters_of_a_tensor_group_are_the_models_and_copies(name, shard):
    """Copies: norms, positions, what is not in a layer, and biases of row-parallel layers."""
    model, t = short(name), shard.tensor
    held = sum(block.part.parameters for block in blocks(model, shard, sequence=512))
    biases = 2 * model.hidden if model.bias == "all" else 0
    positions = model.embedding_parameters - model.vocab * model.hidden
    copied = 5 * model.norm_parameters + 2 * biases + positions + model.other_parameters
    padding = -model.vocab % t * model.hidden * (1 if model.tied_embeddings else 2)
    assert held * t == model.parameters + (t - 1) * copied + padding


def test_more_gpus_than_key_value_heads_keep_a_copy_of_one_each():
    model = short("llama-3-8b")
    eight, sixteen = (blocks(model, Shard(tensor=t)) for t in (8, 16))
    attention = [found[1].part.parameters - model.norm_parameters for found in (eight, sixteen)]
    kv_head = 2 * model.hidden * model.head_dim
    assert 16 * attention[1] == 8 * attention[0] + 8 * kv_head


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(["gpt3-13b", "llama-2-7b", "llama-3-8b"]), shard=tensor_shards)
def test_a_group_has_the_flops_of_the_model(name, shard):
    model = short(name)
    whole, part = blocks(model), blocks(model, shard)
    ranks = shard.tensor * shard.context
    for kind in ("gemm", "attention_prefill"):
        # The vocabulary is padded. A mask leaves half a pair more per query, in each part of a ring.
        rel = 1e-4 if kind == "gemm" else 1.5 * shard.context / S
        assert ranks * products(part, kind) == pytest.approx(products(whole, kind), rel=rel)


def test_causal_work_is_balanced_as_half_of_all_pairs():
    model = gpt()
    for exchange in ("ring", "all-gather"):
        found = blocks(model, Shard(context=4, context_exchange=exchange))
        pairs = S * S / 2 / 4
        expected = 2 * 4.0 * model.hidden * pairs * B  # two layers
        assert products(found, "attention_prefill") == pytest.approx(expected, rel=4 / S)


def test_tensor_parallelism_alone_adds_up_after_each_part():
    model, t = gpt(), 4
    found = cost(model, sequence=S, shard=Shard(tensor=t))
    hidden_state = S * B * model.hidden * 2
    for block in layer(found):
        assert said(block.messages_forward) == [("tensor", "all_reduce", hidden_state)]
        assert said(block.messages_backward) == [("tensor", "all_reduce", hidden_state)]
        (gradient,) = block.messages_backward
        assert 0 < gradient.asynchronous_s == gradient.hideable_s < block.backward_weight.seconds


def test_sequence_parallelism_gathers_before_and_scatters_after_each_part_and_gathers_again_backward():
    model = gpt()
    found = cost(model, sequence=S, shard=Shard(tensor=4, sequence=True))
    size = S * B * model.hidden * 2
    for block in layer(found):
        names = [collective for _, collective, _ in said(block.messages_forward)]
        assert names == ["all_gather", "reduce_scatter"]
        names = [collective for _, collective, _ in said(block.messages_backward)]
        assert names == ["all_gather", "all_gather", "reduce_scatter"]
        assert {each.size_bytes for each in block.messages_forward + block.messages_backward} == {size}
        asynchronous = [each.asynchronous_s > 0 for each in block.messages_backward]
        assert asynchronous == [False, True, True]
        assert all(each.hideable_s > 0 for each in block.messages_forward)


@pytest.mark.parametrize("sequence", [False, True])
def test_gradients_of_weights_that_are_put_off_hide_nothing(sequence):
    for block in layer(cost(gpt(), shard=Shard(tensor=4, sequence=sequence))):
        together, apart = block.messages_backward, block.messages_before_weights
        assert [each.size_bytes for each in apart] == [each.size_bytes for each in together]
        assert together[-1].asynchronous_s > 0.0 == apart[-1].asynchronous_s == apart[-1].hideable_s
        assert apart[:-1] == together[:-1]


@settings(max_examples=20, deadline=None)
@given(shard=tensor_shards, name=st.sampled_from(["gpt3-13b", "llama-3-8b"]))
def test_full_recomputation_says_everything_again_first(shard, name):
    found = cost(short(name), sequence=S, shard=shard, recompute="full")
    none = cost(short(name), sequence=S, shard=shard)
    for block, stored in zip(found.layers, none.layers, strict=True):
        repeated = block.messages_forward if block.layer is not None else ()
        assert block.messages_recompute == repeated
        assert block.messages_backward == repeated + stored.messages_backward


def test_the_ends_of_a_language_model_talk_about_words():
    model, t = gpt(), 4
    found = cost(model, sequence=S, shard=Shard(tensor=t, sequence=True))
    first, last = found.layers[0], found.layers[-1]
    size = S * B * model.hidden * 2
    assert said(first.messages_forward) == [("tensor", "reduce_scatter", size)]
    assert said(first.messages_backward) == [("tensor", "all_gather", size)]
    assert said(last.messages_forward) == [
        ("tensor", "all_gather", size),
        *[("tensor", "all_reduce", 4.0 * S * B)] * 3,
    ]
    assert last.shared_parameters == model.vocab * model.hidden // t


@pytest.mark.parametrize(("name", "kv_width"), [("llama-2-7b", 8192), ("llama-3-8b", 2048)])
def test_a_ring_sends_keys_and_values_forward_and_their_gradients_too_backward(name, kv_width):
    c = 4
    found = cost(short(name), sequence=S, shard=Shard(context=c))
    block = layer(found)[0]
    part = S // c * B * kv_width * 2
    (forward,), (backward,) = block.messages_forward, block.messages_backward
    # What a ring all-gather of c parts sends in c - 1 steps.
    assert (forward.dimension, forward.collective, forward.size_bytes) == ("context", "all_gather", c * part)
    assert backward.size_bytes == 2 * forward.size_bytes
    assert 0 < forward.asynchronous_s == forward.hideable_s < block.forward.seconds


def test_gathering_keys_and_values_first_hides_nothing():
    found = cost(gpt(), sequence=S, shard=Shard(context=4, context_exchange="all-gather"))
    block = layer(found)[0]
    size = S * B * 2 * 2048 * 2
    assert said(block.messages_forward) == [("context", "all_gather", size)]
    assert said(block.messages_backward) == [
        ("context", "all_gather", size),
        ("context", "reduce_scatter", size),
    ]
    assert all(each.hideable_s == 0.0 for each in block.messages_forward + block.messages_backward)


@settings(max_examples=25, deadline=None)
@given(shard=tensor_shards, name=st.sampled_from(["gpt3-13b", "llama-3-8b"]))
def test_a_divided_model_takes_less_time_and_its_parts_more_than_their_share(shard, name):
    whole, part = (cost(short(name), sequence=S, shard=each) for each in (WHOLE, shard))
    ranks = shard.tensor * shard.context
    for one, other in ((whole.forward, part.forward), (whole.backward, part.backward)):
        assert one.seconds / ranks * 0.9 <= other.seconds <= one.seconds * 1.05


@settings(max_examples=25, deadline=None)
@given(shard=tensor_shards)
def test_a_stage_sends_its_part_of_the_hidden_state(shard):
    found = cost(gpt(), sequence=S, shard=shard)
    size = S * B * 2048 * 2 / (shard.tensor * shard.context)
    assert {block.output_bytes for block in found.layers} == {size}


def test_layers_are_alike_and_numbered():
    found = cost(gpt(layers=4))
    numbers = [number for number, _ in groupby(found.layers, key=lambda block: block.layer)]
    assert numbers == [None, 0, 1, 2, 3, None]
    assert len({block.forward for block in found.layers}) == 4
    assert len({block.name for block in found.layers}) == len(found.layers)


def test_unfused_attention_of_a_context_group_is_refused():
    with pytest.raises(CannotRunError, match="context group"):
        cost(gpt(), attention="unfused", shard=Shard(context=2))


def test_a_layer_table_cannot_be_divided():
    with pytest.raises(CannotRunError, match="layer table"):
        cost(catalog.model("resnet-50"), shard=Shard(tensor=2))
