"""Reuse histograms: they say what the published statistics say, and scale to tables of any size."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.catalog.reuse import SHELF, reuse_histogram
from clustersim.errors import CatalogError

STATISTICS = "ranking/meta_dlrm_datasets_2021_locality_stats.txt"
RECORDS = {"meta-2021": "fbgemm_t856_bs65536.pt", "meta-2021-part": "fbgemm_t856_bs65536_0.pt"}

histograms = st.sampled_from(SHELF.names())


def published(path, record):
    block = next(each for each in path.read_text().split("\n\n") if each.startswith(record + "\n"))
    rows, lookups = block.split("Ratio of index distribution")
    shares = re.compile(r"^\([^:]*: ([0-9.]+)$", re.MULTILINE)
    return {
        "lookups": int(re.search(r"# of indices: (\d+)", block)[1]),
        "distinct_rows": int(re.search(r"unique cols: (\d+)", block)[1]),
        "share_of_rows": [float(each) for each in shares.findall(rows)],
        "share_of_lookups": [float(each) for each in shares.findall(lookups)],
    }


@pytest.mark.parametrize(("name", "record"), RECORDS.items())
def test_the_file_holds_the_published_numbers(name, record, shared):
    fields = SHELF.record(name).fields
    for field, value in published(shared(STATISTICS), record).items():
        assert fields[field] == value, field


@pytest.mark.parametrize("name", RECORDS)
def test_groups_add_up_to_the_rows_and_look_ups_of_the_record(name):
    histogram = reuse_histogram(name)
    assert histogram.shares.sum() == pytest.approx(1.0, abs=1e-12)
    assert histogram.rows.sum() == pytest.approx(histogram.distinct_rows, rel=0.01)


def test_mean_uses_are_the_published_column_sizes():
    assert round(reuse_histogram("meta-2021").mean_uses, 1) == 6.9
    assert round(reuse_histogram("meta-2021-part").mean_uses, 1) == 7.6


@pytest.mark.parametrize("name", RECORDS)
def test_rows_of_a_group_are_used_as_often_as_its_name_says(name):
    histogram = reuse_histogram(name)
    uses = histogram.shares * histogram.lookups / histogram.rows
    most = 2.0 ** np.arange(len(uses))
    assert (uses <= most * (1 + 1e-12)).all()
    assert (uses[1:] > most[:-1]).all()


@settings(deadline=None)
@given(name=histograms, rows=st.integers(1, 10**10))
def test_groups_of_a_table_hold_all_its_rows_and_look_ups(name, rows):
    group_rows, shares = reuse_histogram(name).groups_of_table(rows)
    assert group_rows.sum() == pytest.approx(rows, rel=1e-9)
    assert shares.sum() == pytest.approx(1.0, abs=1e-9)
    assert (group_rows > 0.0).all()
    assert (shares >= 0.0).all()


@settings(deadline=None)
@given(name=histograms, rows=st.integers(1, 10**10))
def test_unseen_rows_are_never_more_popular_than_rows_seen_once(name, rows):
    group_rows, shares = reuse_histogram(name).groups_of_table(rows)
    popularity = shares / group_rows
    assert (np.diff(popularity) >= -1e-9 * popularity[1:]).all()


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("rows", [300_000, 10**6, 10**8])
def test_a_batch_like_the_recorded_one_touches_as_many_rows_as_it_did(name, rows):
    histogram = reuse_histogram(name)
    group_rows, shares = histogram.groups_of_table(rows)
    lookups = histogram.lookups / histogram.tables
    touched = (group_rows * -np.expm1(lookups * np.log1p(-shares / group_rows))).sum()
    assert touched == pytest.approx(histogram.distinct_rows / histogram.tables, rel=0.005)


def test_an_unknown_histogram_is_refused_with_the_nearest():
    with pytest.raises(CatalogError, match=r"unknown reuse histogram 'meta-2022'.*'meta-2021'"):
        reuse_histogram("meta-2022")
