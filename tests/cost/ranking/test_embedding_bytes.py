"""Look-ups and updates by bytes: worked out by hand, and against a cache that is simulated row by row."""

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.catalog.ranking_models import EmbeddingTable
from clustersim.cost.ranking.embedding import (
    RowWork,
    dense_update,
    lookup,
    lookup_bytes,
    sort_of_indices,
    update,
    update_bytes,
)
from clustersim.cost.ranking.memory import row_bytes
from clustersim.cost.ranking.popularity import popularity_of
from clustersim.errors import CatalogError

NO_CACHE = 1e-9


def work(rows=10**9, columns=128, bags=100, pooling=4.0, *, part=1.0, precision="fp32", skew=None):
    def array(value):
        return np.array([float(value)])

    return RowWork(
        columns=array(columns),
        row_bytes=array(row_bytes(float(columns), precision)),
        bags=array(bags),
        lookups=array(bags * pooling * part),
        outputs=array(bags),
        part=array(part),
        popularity=popularity_of([EmbeddingTable(name="t", rows=rows, dimension=columns, skew=skew)]),
    )


def test_a_look_up_moves_indices_offsets_rows_and_outputs():
    moved = lookup_bytes(work(), output_precision="fp32", cache_bytes=NO_CACHE)
    # 400 indices and 100 offsets of 8 bytes, 400 rows and 100 outputs of 512.
    by_hand = 400 * 8 + 100 * 8 + 400 * 512 + 100 * 512
    assert moved.least[0] == pytest.approx(by_hand)
    assert moved.memory[0] == moved.cache[0] == pytest.approx(by_hand)
    assert moved.flops[0] == 400 * 128


def test_weights_add_four_bytes_and_a_multiplication_per_look_up():
    plain, weighted = (
        lookup(work(), output_precision="fp32", cache_bytes=NO_CACHE, weighted=weighted)
        for weighted in (False, True)
    )
    assert weighted.bytes_moved - plain.bytes_moved == pytest.approx(400 * 4)
    assert weighted.flops == 2 * plain.flops


@pytest.mark.parametrize(
    ("precision", "size"), [("fp32", 512), ("fp16", 256), ("fp8", 128), ("int8", 132), ("int4", 68)]
)
def test_rows_of_other_precisions_have_their_bytes_and_scales(precision, size):
    moved = lookup_bytes(work(precision=precision), output_precision="fp16", cache_bytes=NO_CACHE)
    assert moved.least[0] == pytest.approx(400 * 8 + 100 * 8 + 400 * size + 100 * 256)


def test_an_unknown_precision_is_refused():
    with pytest.raises(
        CatalogError, match=r"unknown precision of embedding rows 'int9'. Did you mean 'int8'"
    ):
        row_bytes(128.0, "int9")


def test_short_rows_cost_more_than_their_bytes():
    streamed = 400 * 8 + 100 * 8 + 100 * 32
    moved = lookup_bytes(work(columns=8), output_precision="fp32", cache_bytes=NO_CACHE)
    assert moved.least[0] == pytest.approx(streamed + 400 * 32)
    assert moved.memory[0] == pytest.approx(streamed + 400 * 64)
    assert moved.cache[0] == pytest.approx(streamed + 400 * 104)


def test_repeated_rows_come_from_the_cache():
    small = work(rows=50, bags=1000)
    moved = lookup_bytes(small, output_precision="fp32", cache_bytes=40e6)
    streamed = 4000 * 8 + 1000 * 8 + 1000 * 512
    assert moved.least[0] == pytest.approx(streamed + 50 * 512)
    assert moved.cache[0] == pytest.approx(streamed + 4000 * 512)


@pytest.mark.parametrize("skew", [None, 1.05])
def test_rows_read_are_near_those_of_a_simulated_cache(skew):
    """Rows one by one through a cache that forgets what was used longest ago: the slow way."""
    rows, held, lookups = 5_000, 1_500, 40_000
    wanted = work(rows=rows, bags=lookups, pooling=1.0, skew=skew)
    chances = np.repeat(
        wanted.popularity.shares[0] / wanted.popularity.rows[0], wanted.popularity.rows[0].astype(int)
    )
    drawn = np.random.default_rng(7).choice(rows, size=lookups, p=chances / chances.sum())
    cache: OrderedDict[int, None] = OrderedDict()
    read = 0
    for row in drawn.tolist():
        read += row not in cache
        cache[row] = None
        cache.move_to_end(row)
        if len(cache) > held:
            cache.popitem(last=False)
    # The model holds the hottest rows, which is the best that a cache can do once it is full.
    predicted = wanted.rows_read(held * 512.0)[0]
    assert 0.80 * read <= predicted <= 1.06 * read


def test_a_row_wise_part_reads_its_share():
    whole = work(rows=10_000, bags=5_000)
    half = work(rows=10_000, bags=5_000, part=0.5)
    assert half.distinct_rows()[0] == pytest.approx(whole.distinct_rows()[0] / 2)
    assert half.rows_read(1e6)[0] == pytest.approx(whole.rows_read(2e6)[0] / 2)


@pytest.mark.parametrize(
    ("optimizer", "state", "padded"),
    [("sgd", 0, 0), ("rowwise-adagrad", 4, 64), ("adagrad", 512, 512), ("adam", 1024, 1024)],
)
def test_an_update_reads_and_writes_rows_and_states_once(optimizer, state, padded):
    distinct = 400.0  # of 1e9 rows no two are alike
    moved = update_bytes(work(), gradient_precision="fp32", optimizer=optimizer, cache_bytes=40e6)
    # 100 gradients of 512 bytes, which stay in the cache, and 12 bytes for each sorted index.
    assert moved.least[0] == pytest.approx(100 * 512 + 400 * 12 + 2 * distinct * (512 + state))
    assert moved.memory[0] == pytest.approx(100 * 512 + 400 * 12 + 2 * distinct * (512 + padded))
    assert moved.cache[0] == pytest.approx(400 * 512 + 400 * 12 + 2 * distinct * (512 + padded))


def test_gradients_that_leave_the_cache_are_read_for_each_look_up():
    moved = update_bytes(work(), gradient_precision="fp32", optimizer="sgd", cache_bytes=NO_CACHE)
    assert moved.least[0] == pytest.approx(400 * 512 + 400 * 12 + 2 * 400 * 512)


def test_indices_are_sorted_eight_bits_at_a_time():
    # 2^30 rows: 4 passes; made 8 + 12, each pass 24, counted 8.
    assert sort_of_indices(1000.0, 2.0**30).bytes_moved == 1000 * (8 + 12 + 4 * 24 + 8)
    assert sort_of_indices(1000.0, 200.0).bytes_moved == 1000 * (8 + 12 + 24 + 8)


def test_an_update_is_a_sort_and_a_kernel():
    sort, rows = update(work(), gradient_precision="fp16", optimizer="rowwise-adagrad", cache_bytes=40e6)
    assert (sort.kind, rows.kind) == ("elementwise", "embedding_update")


def test_a_replicated_table_is_updated_whole():
    gradient, step = dense_update(
        np.array([1000.0]), np.array([64.0]), lookups=np.array([500.0]), optimizer="adagrad"
    )
    assert gradient.bytes_moved == 500 * 64 * 12 + 1000 * 64 * 4
    assert step.bytes_moved == 1000 * 64 * (4 + 2 * (4 + 4))


@settings(deadline=None)
@given(
    bags=st.integers(1, 10**6),
    pooling=st.floats(1, 100),
    columns=st.integers(1, 1024),
    cache=st.tuples(st.floats(1, 1e9), st.floats(1, 1e9)),
)
def test_a_larger_cache_never_reads_more_and_never_less_than_the_different_rows(
    bags, pooling, columns, cache
):
    wanted = work(rows=10**6, columns=columns, bags=bags, pooling=pooling, skew=1.05)
    less, more = (wanted.rows_read(size)[0] for size in sorted(cache))
    assert wanted.distinct_rows()[0] * (1 - 1e-6) <= more <= less * (1 + 1e-9)
