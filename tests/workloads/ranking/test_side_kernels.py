"""What frameworks run beside the kernels of a model, in bytes that can be counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clustersim import catalog
from clustersim.catalog.ranking_frameworks import RankingFramework, ranking_framework
from clustersim.cost.operators import elementwise
from clustersim.workloads.ranking.training.side_kernels import SideKernels

BARE = RankingFramework(name="bare", words="bare", kernel_launch_s=0.0, graph_launch_s=0.0, step_s=0.0)
"""A framework that adds nothing."""
NCF = catalog.ranking_model("ncf-nvidia")
SAMPLES = 1000.0


def side(framework: RankingFramework, *, precision: str = "fp32") -> SideKernels:
    return SideKernels(framework=framework, model=NCF, batch=SAMPLES, precision=precision)


@pytest.mark.parametrize("stage", ["bottom", "interaction", "top"])
def test_a_framework_may_add_nothing(stage: str) -> None:
    assert not side(BARE).beside(stage, ())
    assert not side(BARE).row_gradients(1e6, lookups=1e3)
    assert not side(BARE).whole_gradients(1e6, ranks=8)


def test_each_copy_of_pooled_embeddings_is_read_and_written() -> None:
    (copy,) = side(replace(BARE, pooled_copies=2.0)).beside("interaction", ())
    elements = 64 + 64 + 128 + 128
    assert copy.bytes_moved == 2 * 2 * 4 * elements * SAMPLES


def test_copies_take_half_as_much_in_16_bit() -> None:
    copies = side(replace(BARE, pooled_copies=1.0), precision="fp16").beside("interaction", ())
    single = side(replace(BARE, pooled_copies=1.0)).beside("interaction", ())
    assert copies[0].bytes_moved == single[0].bytes_moved / 2


def test_dropout_moves_a_mask_of_bytes_beside_what_each_layer_leaves() -> None:
    (masks,) = side(replace(BARE, dropout=True)).beside("top", ())
    assert masks.bytes_moved == (256 // 2 + 64 + 256) * (2 * 4 + 1) * SAMPLES


def test_with_autocast_all_before_the_first_product_moves_twice_and_is_cast() -> None:
    join = elementwise("join", bytes_moved=1e6, precision="fp16")
    framework = replace(BARE, autocast=True)
    (casts,) = side(framework, precision="fp16").beside("interaction", [join])
    assert casts.bytes_moved == 1e6 + SAMPLES * 384 * (4 + 2)
    assert not side(framework).beside("interaction", [join])


def test_gradients_of_rows_pass_through_memory_as_often_as_the_framework_says() -> None:
    framework = replace(BARE, row_gradient_passes=5.0, embedding_gradient="sparse", loss_scaling=True)
    (single,) = side(framework).row_gradients(1e6, lookups=1e4)
    (mixed,) = side(framework, precision="fp16").row_gradients(1e6, lookups=1e4)
    assert single.bytes_moved == 5 * 4e6
    assert mixed.bytes_moved == 7 * 4e6


def test_dense_gradients_are_sorted_by_all_bits_of_an_index() -> None:
    (sort,) = side(replace(BARE, embedding_gradient="dense")).row_gradients(0.0, lookups=1e4)
    assert sort.bytes_moved == 1e4 * 16 * 2 * 8


def test_buckets_are_filled_only_where_there_are_others_to_sum_with() -> None:
    buckets = side(replace(BARE, bucket_copies=True))
    assert not buckets.whole_gradients(1e6, ranks=1)
    assert buckets.whole_gradients(1e6, ranks=2)[0].bytes_moved == 4e6


def test_the_catalogue_s_frameworks_differ_in_what_they_add() -> None:
    fused, eager = ranking_framework("hugectr"), ranking_framework("deeplearningexamples-dlrm")
    assert not side(fused).row_gradients(1e6, lookups=1e3)
    assert side(eager).row_gradients(1e6, lookups=1e3)
