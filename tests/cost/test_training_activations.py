"""Kept activations are those of Korthikanti et al., arXiv:2205.05198, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_shapes import cost, gpt, layer, short, tensor_shards

from clustersim.cost.training.shard import Shard


@st.composite
def jobs(draw):
    """Return s, b, h, a and t, and the GPT with them."""
    t = draw(st.sampled_from([1, 2, 4, 8]))
    a = t * draw(st.integers(1, 4))
    h = a * draw(st.sampled_from([64, 128]))
    s = t * draw(st.integers(16, 256))
    return s, draw(st.integers(1, 4)), h, a, t


def kept(job, *, sequence: bool, recompute: str = "none", attention: str = "unfused", **options) -> float:
    s, b, h, a, t = job
    found = cost(
        gpt(hidden=h, heads=a, layers=1, sequence=s),
        precision="fp16",
        micro_batch=b,
        recompute=recompute,
        attention=attention,
        shard=Shard(tensor=t, sequence=sequence, **options),
    )
    return sum(block.activation_bytes for block in layer(found))


@settings(max_examples=30, deadline=None)
@given(job=jobs())
def test_equation_1_and_2_a_layer_under_tensor_parallelism(job):
    s, b, h, a, t = job
    assert kept(job, sequence=False) == pytest.approx(s * b * h * (10 + 24 / t + 5 * a * s / (h * t)))


@settings(max_examples=30, deadline=None)
@given(job=jobs())
def test_equation_4_a_layer_under_tensor_and_sequence_parallelism(job):
    s, b, h, a, t = job
    assert kept(job, sequence=True) == pytest.approx(s * b * h / t * (34 + 5 * a * s / h))


@settings(max_examples=30, deadline=None)
@given(job=jobs(), sequence=st.booleans())
def test_equation_6_selective_recomputation_keeps_no_matrix_of_probabilities(job, sequence):
    s, b, h, _, t = job
    expected = s * b * h * 34 / t if sequence else s * b * h * (10 + 24 / t)
    assert kept(job, sequence=sequence, recompute="selective") == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(job=jobs(), sequence=st.booleans())
def test_full_recomputation_keeps_the_input_of_a_layer(job, sequence):
    s, b, h, _, t = job
    expected = 2 * s * b * h / (t if sequence else 1)
    assert kept(job, sequence=sequence, recompute="full") == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(job=jobs(), sequence=st.booleans())
def test_fused_attention_keeps_one_number_per_query_and_head_in_place_of_the_matrix(job, sequence):
    s, b, _, a, t = job
    selective = kept(job, sequence=sequence, recompute="selective")
    for recompute in ("none", "selective"):
        fused = kept(job, sequence=sequence, attention="fused", recompute=recompute)
        assert fused == pytest.approx(selective + 4 * s * b * a / t)


@settings(max_examples=20, deadline=None)
@given(job=jobs(), c=st.sampled_from([2, 4]))
def test_a_context_group_divides_what_is_kept(job, c):
    s, b, h, a, t = job
    whole = kept((s * c, b, h, a, t), sequence=True, attention="fused")
    assert kept((s * c, b, h, a, t), sequence=True, attention="fused", context=c) == pytest.approx(whole / c)


def test_embedding_and_output_keep_masks_inputs_and_logits():
    """Section 4.3: s·b·h for the first dropout; 4·s·b·h·(1 + v/h) with the loss; both over t."""
    s, b, t = 1024, 2, 4
    model = gpt(sequence=s)
    found = cost(model, precision="fp16", micro_batch=b, shard=Shard(tensor=t, sequence=True))
    first, last = found.layers[0], found.layers[-1]
    assert first.activation_bytes == s * b * model.hidden / t
    assert last.activation_bytes == pytest.approx(
        4 * s * b * model.hidden / t * (1 + model.vocab / model.hidden)
    )


@settings(max_examples=30, deadline=None)
@given(
    shard=tensor_shards,
    name=st.sampled_from(["gpt3-13b", "llama-2-7b", "llama-3-8b"]),
    recompute=st.sampled_from(["none", "selective", "full"]),
)
def test_recomputation_moves_bytes_from_kept_to_recomputed(shard, name, recompute):
    options = {"sequence": 1024, "shard": shard}
    stored, found = cost(short(name), **options), cost(short(name), recompute=recompute, **options)
    for one, other in zip(stored.layers, found.layers, strict=True):
        assert other.activation_bytes + other.recomputed_bytes == pytest.approx(one.activation_bytes)
        assert other.stored() == one


def test_a_model_without_dropout_keeps_no_masks():
    model = short("llama-2-7b")
    found = cost(model, micro_batch=1, sequence=1024)
    tokens = 1024
    widths = 2 * model.hidden + 4 * model.hidden + 2 * model.hidden + 3 * model.ffn_hidden
    assert sum(block.activation_bytes for block in layer(found)) == tokens * (2 * widths + 4 * model.heads)
