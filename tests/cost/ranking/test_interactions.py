"""Interactions: widths as NumPy finds them, and kernels of pairs, crosses, sequences and steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.catalog.ranking_models import EmbeddingTable, Interaction, RankingModel
from clustersim.cost.ranking.dense import dense_backward, dense_forward


def model_of(interaction: Interaction, *, tables: int = 4, width: int = 8, **table: object) -> RankingModel:
    return RankingModel(
        name="small",
        dense_features=5,
        bottom_mlp=(16, width),
        tables=tuple(
            EmbeddingTable(name=f"table.{number}", rows=10, dimension=width, **table)  # type: ignore[arg-type]
            for number in range(tables)
        ),
        interaction=interaction,
        top_mlp=(32, 1),
    )


@given(tables=st.integers(1, 40), width=st.sampled_from([4, 16, 64]))
def test_the_dot_interaction_is_as_wide_as_numpy_makes_it(tables, width):
    model = model_of(Interaction(kind="dot"), tables=tables, width=width)
    vectors = np.ones((3, tables + 1, width))
    products = vectors @ vectors.transpose(0, 2, 1)
    rows, columns = np.tril_indices(tables + 1, k=-1)
    result = np.concatenate([vectors[:, 0], products[:, rows, columns]], axis=1)
    assert model.interaction_width == result.shape[1]


def test_a_cross_layer_computes_what_its_operators_multiply():
    """x_1 = x_0 ∘ (W·V·x_0 + b) + x_0 in NumPy: the shapes are those of the kernels."""
    model = model_of(Interaction(kind="dcn-v2", layers=1, rank=4))
    width = model.interaction_width
    start = np.ones((3, width))
    crossed = start * (start @ np.ones((width, 4)) @ np.ones((4, width)) + 1.0) + start
    assert crossed.shape == (3, 5 * 8)
    down, up, _ = dense_forward(model, batch=3, precision="fp32").interaction
    assert (down.shape.m, down.shape.k, down.shape.n) == (3, width, 4)
    assert (up.shape.m, up.shape.k, up.shape.n) == (3, 4, width)


def test_a_full_cross_layer_costs_more_than_one_of_low_rank():
    full, low = (model_of(Interaction(kind="dcn-v2", layers=3, rank=rank)) for rank in (None, 4))
    assert full.flops_per_sample - low.flops_per_sample == 3 * (2 * 40 * 40 - 2 * 2 * 40 * 4)


def test_the_eager_dot_product_has_one_small_product_per_sample():
    model = model_of(Interaction(kind="dot"), tables=26, width=128)
    product = dense_forward(model, batch=512, precision="fp16", fused=False).interaction[1]
    assert (product.shape.groups, product.shape.m, product.shape.n, product.shape.k) == (512, 27, 27, 128)


def test_the_fused_dot_product_reads_the_vectors_and_writes_the_result_only():
    model = model_of(Interaction(kind="dot"), tables=26, width=128)
    (kernel,) = dense_forward(model, batch=512, precision="fp16").interaction
    assert kernel.bytes_moved == 512 * 2 * (27 * 128 + 479)


def test_a_concatenation_costs_nothing_where_features_are_written_in_place():
    model = model_of(Interaction(kind="concatenation"))
    assert dense_forward(model, batch=64, precision="fp32").interaction == ()
    (copy,) = dense_forward(model, batch=64, precision="fp32", fused=False).interaction
    assert copy.bytes_moved == 64 * 4 * 2 * 5 * 8


def test_rows_that_are_not_pooled_are_concatenated_one_by_one():
    model = model_of(Interaction(kind="concatenation"), pooling=6.0, pooled=False)
    assert model.interaction_width == 8 + 4 * 6 * 8
    assert dense_forward(model, batch=2, precision="fp32").top[0].shape.k == model.interaction_width


@pytest.mark.parametrize("fused", [True, False])
def test_recurrent_layers_wait_for_each_step(fused):
    model = catalog.ranking_model("dien")
    steps = [
        operator
        for operator in dense_forward(model, batch=512, precision="fp32", fused=fused).interaction
        if operator.count > 1
    ]
    assert {operator.count for operator in steps} == {model.interaction.sequence_length}
    assert len(steps) == (2 if fused else 4)


def test_inputs_of_all_steps_go_through_one_product():
    model = catalog.ranking_model("dien")
    inputs = dense_forward(model, batch=512, precision="fp32").interaction[0]
    assert (inputs.count, inputs.shape.m) == (1, 512 * model.interaction.sequence_length)


def test_a_gru_has_three_times_the_products_of_a_plain_recurrent_layer():
    plain = catalog.ranking_model("dien")
    gru = replace(plain, interaction=replace(plain.interaction, gates=3))
    cells = 2 * 40 * 64 * (32 + 64 + 64 + 64)
    assert gru.flops_per_sample - plain.flops_per_sample == 2 * cells


def hstu(queries: float | None, *, batch: float = 32):
    return dense_forward(catalog.ranking_model("hstu"), batch=batch, precision="bf16", queries=queries)


def test_candidates_of_one_user_share_its_history():
    length = catalog.ranking_model("hstu").interaction.sequence_length
    alone, shared = hstu(None), hstu(1)
    assert alone.interaction[1].shape.m == 32 * length
    assert shared.interaction[1].shape.m == length - 1 + 32


def test_attention_over_a_shared_history_is_that_of_the_history_and_of_each_candidate():
    model = catalog.ranking_model("hstu")
    length, width = model.interaction.sequence_length, model.interaction.heads * 32
    attention = next(each for each in hstu(4).interaction if each.kind == "attention_prefill")
    pairs = 4 * (length - 1) * length / 2 + 32 * length
    assert attention.flops == pytest.approx(4.0 * width * pairs, rel=1e-12)


@given(queries=st.integers(1, 32))
def test_more_distinct_users_are_never_less_work(queries):
    fewer, more = hstu(max(1, queries - 1)), hstu(queries)
    assert fewer.flops <= more.flops
    assert fewer.bytes_moved <= more.bytes_moved


def test_one_user_per_sample_is_what_no_word_of_users_means():
    assert hstu(32) == hstu(None)


def test_the_activation_unit_sees_every_step_of_every_candidate():
    model = catalog.ranking_model("din")
    kernels = dense_forward(model, batch=16, precision="fp32").interaction
    unit = [each for each in kernels if each.name.startswith("interaction.unit.")]
    assert [(each.shape.m, each.shape.k, each.shape.n) for each in unit] == [
        (16 * 250, 3 * 32, 1),
        (16 * 250, 1, 32),
    ]


def test_hstu_goes_back_through_its_layers_with_the_fused_backward_attention():
    kernels = dense_backward(catalog.ranking_model("hstu"), batch=4, precision="bf16").interaction
    attention = [each for each in kernels if each.kind == "attention_backward"]
    assert len(attention) == catalog.ranking_model("hstu").interaction.layers
