"""Popularity of rows: closed forms against draws of samples, and what must hold for any table."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.catalog.ranking_models import EmbeddingTable
from clustersim.cost.ranking.popularity import popularity_of


def table(rows, *, reuse=None, skew=None):
    return EmbeddingTable(name="t", rows=rows, dimension=16, reuse=reuse, skew=skew)


tables = st.builds(
    lambda rows, kind: table(rows, **kind),
    rows=st.integers(1, 10**9),
    kind=st.sampled_from(
        [
            {},
            {"skew": 0.6},
            {"skew": 1.0},
            {"skew": 1.45},
            {"reuse": "meta-2021"},
            {"reuse": "meta-2021-part"},
        ]
    ),
)


def drawn_rows(popularity, lookups, *, draws, seed=3):
    """Draw rows one by one: the slow way to what `Popularity` has in closed form."""
    counts = np.maximum(1, np.rint(popularity.rows[0])).astype(int)
    chances = np.repeat(popularity.shares[0] / counts, counts)
    rng = np.random.default_rng(seed)
    return [rng.choice(len(chances), size=lookups, p=chances / chances.sum()) for _ in range(draws)]


@pytest.mark.parametrize(
    "kind",
    [{}, {"skew": 1.05}, {"skew": 0.7}, {"reuse": "meta-2021"}],
    ids=["uniform", "1.05", "0.7", "meta"],
)
def test_distinct_rows_and_hits_are_those_of_drawn_samples(kind):
    popularity = popularity_of([table(20_000, **kind)])
    held = 3_000
    drawn = drawn_rows(popularity, 8_000, draws=30)
    distinct = np.mean([len(np.unique(rows)) for rows in drawn])
    missed = np.mean([len(np.unique(rows[rows >= held])) for rows in drawn])
    hits = np.mean([(rows < held).mean() for rows in drawn])
    assert popularity.distinct_rows(8_000)[0] == pytest.approx(distinct, rel=0.01)
    assert popularity.missed_rows(8_000, held)[0] == pytest.approx(missed, rel=0.015)
    assert popularity.hit_rate(held)[0] == pytest.approx(hits, abs=0.006)


@pytest.mark.parametrize("skew", [0.5, 1.0, 1.05, 1.45])
@pytest.mark.parametrize("held", [1, 10, 100, 5_000])
def test_hit_rate_of_a_power_law_is_the_sum_over_ranks(skew, held):
    rows = 50_000
    weights = np.arange(1, rows + 1, dtype=float) ** -skew
    expected = weights[:held].sum() / weights.sum()
    assert popularity_of([table(rows, skew=skew)]).hit_rate(held)[0] == pytest.approx(expected, abs=0.004)


@settings(deadline=None)
@given(table=tables, shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_hit_rate_rises_with_the_rows_held_from_nothing_to_all(table, shares):
    popularity = popularity_of([table])
    less, more = sorted(share * table.rows for share in shares)
    assert 0.0 <= popularity.hit_rate(less)[0] <= popularity.hit_rate(more)[0] + 1e-12 <= 1.0 + 2e-12
    assert popularity.hit_rate(0.0)[0] == 0.0
    assert popularity.hit_rate(table.rows * (1 + 1e-9))[0] == pytest.approx(1.0, abs=1e-9)


@settings(deadline=None)
@given(table=tables, share=st.floats(0, 1))
def test_a_cache_of_the_hottest_hits_at_least_its_share_of_rows(table, share):
    assert popularity_of([table]).hit_rate(share * table.rows)[0] >= share - 1e-9


@settings(deadline=None)
@given(table=tables, lookups=st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), share=st.floats(0, 1))
def test_distinct_rows_rise_with_look_ups_and_are_bounded_by_both(table, lookups, share):
    popularity = popularity_of([table])
    fewer, more = sorted(lookups)
    distinct = popularity.distinct_rows(more)[0]
    assert popularity.distinct_rows(fewer)[0] <= distinct * (1 + 1e-9)
    assert distinct <= min(more, table.rows) * (1 + 1e-6) + 1e-6
    held = share * table.rows
    assert popularity.missed_rows(more, held)[0] <= distinct * (1 + 1e-9)
    assert distinct * (1 - 1e-6) - 1e-6 <= popularity.rows_read(more, held)[0] <= more * (1 + 1e-6) + 1e-6


def test_without_a_cache_each_look_up_reads_its_row_and_with_all_rows_held_each_row_once():
    popularity = popularity_of([table(1_000, skew=1.1), table(1_000)])
    assert popularity.rows_read(5_000.0, 0.0) == pytest.approx([5_000.0, 5_000.0])
    assert popularity.rows_read(5_000.0, 1_000.0) == pytest.approx(popularity.distinct_rows(5_000.0))
