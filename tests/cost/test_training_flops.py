"""FLOPs of a step by the conventions of the papers that publish MFU and HFU."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_shapes import cost, gpt, layer, short, tensor_shards

from clustersim import catalog
from clustersim.cost.training.flops import megatron_flops
from clustersim.cost.training.shard import Shard


@settings(max_examples=30, deadline=None)
@given(
    heads=st.integers(4, 64),
    layers=st.integers(1, 12),
    sequence=st.integers(64, 4096),
    batch=st.integers(1, 8),
)
def test_equation_3_of_megatron_sc21_is_the_sum_over_the_blocks_of_a_gpt(heads, layers, sequence, batch):
    model = gpt(hidden=64 * heads, heads=heads, layers=layers, sequence=sequence)
    found = cost(model, micro_batch=batch, recompute="full").flops
    expected = megatron_flops(
        batch=batch, sequence=sequence, layers=layers, hidden=model.hidden, vocab=model.vocab
    )
    assert batch * found.hardware == pytest.approx(expected, rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(shard=tensor_shards, name=st.sampled_from(["gpt3-13b", "llama-3-8b", "mixtral-8x7b"]))
def test_flops_are_the_models_however_it_is_divided(shard, name):
    if name == "mixtral-8x7b" and shard.tensor > 1:
        return
    assert cost(short(name), sequence=512, shard=shard).flops == cost(short(name), sequence=512).flops


@settings(max_examples=20, deadline=None)
@given(name=st.sampled_from(["gpt3-13b", "llama-3-8b", "mixtral-8x7b"]), sequence=st.integers(16, 2048))
def test_model_flops_are_six_per_active_weight_and_token_and_attention(name, sequence):
    model = short(name)
    norms, biases = 5 * model.norm_parameters, 0
    if model.bias == "all":
        biases = model.layers * (5 * model.hidden + model.ffn_hidden)
    tables = (
        model.embedding_parameters
        if not model.tied_embeddings
        else (model.embedding_parameters - model.vocab * model.hidden)
    )
    weights = model.active_parameters - norms - biases - tables
    attention = 12 * model.layers * model.hidden * sequence**2
    flops = cost(model, sequence=sequence).flops
    assert flops.model == pytest.approx(6 * weights * sequence + attention, rel=1e-12)
    assert flops.model_without_masked == pytest.approx(6 * weights * sequence + attention / 2, rel=1e-12)


def test_an_encoder_masks_nothing():
    flops = cost(short("bert-large"), sequence=512).flops
    assert flops.model_without_masked == flops.model


def test_selective_recomputation_repeats_attention_between_queries_and_keys():
    model = gpt()
    none, selective = (
        cost(model, recompute=mode, attention="unfused").flops for mode in ("none", "selective")
    )
    assert none.hardware == none.model == selective.model
    pairs = 4 * model.layers * model.hidden * 2048**2
    assert selective.hardware - selective.model == pytest.approx(pairs)
    fused = cost(model, recompute="selective").flops
    assert fused.hardware == fused.model


@pytest.mark.parametrize(("recompute", "repeated"), [("none", 0.0), ("full", 1.0)])
def test_recomputation_takes_a_forward_pass_of_the_layers(recompute, repeated):
    found = cost(gpt(layers=4), recompute=recompute)
    layers = sum(block.forward.seconds for block in found.layers if block.layer is not None)
    assert sum(block.recompute.seconds for block in found.layers) == pytest.approx(repeated * layers)


def test_an_early_stop_leaves_out_what_nobody_needs():
    """The last product of a layer is a third of the products of a GPT; only its input is needed."""
    model = replace(gpt(hidden=8192, heads=64), dropout=False)
    shard = Shard(tensor=2, sequence=True)
    all_of_it, early = (
        layer(cost(model, recompute="full", early_stop=stop, shard=shard)) for stop in (False, True)
    )
    assert early[0] == all_of_it[0]
    assert early[1].recompute.seconds == pytest.approx(0.5 * all_of_it[1].recompute.seconds, rel=0.05)
    assert early[1].messages_recompute == all_of_it[1].messages_recompute[:-1]
    kept = cost(replace(model, dropout=True), recompute="full", early_stop=True).layers[2]
    assert kept.recompute == kept.forward


def test_selective_recomputation_takes_the_time_of_unfused_attention():
    none, found = (
        cost(gpt(), recompute=mode, attention="unfused").layers[1] for mode in ("none", "selective")
    )
    assert 0 < found.recompute.seconds < found.forward.seconds
    assert found.backward.seconds == pytest.approx(none.backward.seconds + found.recompute.seconds)


def test_flash_attention_in_triton_is_slower_and_nothing_else():
    fused, triton = (layer(cost(gpt(), attention=attention)) for attention in ("fused", "triton"))
    assert triton[1] == fused[1]
    assert triton[0].activation_bytes == fused[0].activation_bytes
    extra = [
        getattr(triton[0], part).seconds - getattr(fused[0], part).seconds
        for part in ("forward", "backward_input", "backward_weight")
    ]
    assert extra[1] > 3 * extra[0] > 0 == extra[2]


@pytest.mark.parametrize(
    ("device", "slower"), [("a100", False), ("l40s", False), ("h100", True), ("b200", True)]
)
def test_flash_attention_2_is_slower_from_hopper_on(device, slower):
    times = {
        attention: layer(cost(gpt(), catalog.accelerator(device), attention=attention))[0].forward.seconds
        for attention in ("fused", "flash-2", "triton")
    }
    assert (times["flash-2"] > times["fused"]) == slower
    assert times["triton"] > times["flash-2"] >= times["fused"]


def test_the_backward_pass_has_as_many_flops_for_inputs_as_for_weights():
    found = cost(gpt(hidden=8192, heads=64), micro_batch=1)
    ffn = found.layers[2]
    assert ffn.backward_weight.compute_s == pytest.approx(ffn.forward.compute_s, rel=0.1)
    assert ffn.backward_input.compute_s == pytest.approx(ffn.forward.compute_s, rel=0.1)
