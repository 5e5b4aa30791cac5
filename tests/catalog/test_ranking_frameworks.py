"""Frameworks that train ranking models: what the catalogue says of them."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from clustersim.catalog.ranking_frameworks import DEFAULT_FRAMEWORK, SHELF, ranking_framework
from clustersim.errors import CatalogError
from clustersim.spec.ranking.sharding import ShardingSpec


@pytest.mark.parametrize("name", SHELF.names())
def test_every_framework_has_sources_words_and_a_sharding_that_scenarios_know(name: str) -> None:
    framework = ranking_framework(name)
    assert framework.sources["words"].text
    assert re.compile(framework.words)
    assert ShardingSpec.model_validate(dict(framework.sharding)) is not None


def test_the_default_framework_is_there() -> None:
    assert ranking_framework(DEFAULT_FRAMEWORK).name == DEFAULT_FRAMEWORK


def test_an_unknown_framework_is_refused_with_the_nearest() -> None:
    with pytest.raises(CatalogError, match=r"unknown ranking framework 'hugctr'\. Did you mean 'hugectr'"):
        ranking_framework("hugctr")


def test_special_frameworks_come_before_those_whose_words_fit_them_too() -> None:
    names = SHELF.names()
    ordered = ("tf2-sok-custom-interaction", "tf2-sok", "torchrec", "hugectr", "pytorch")
    assert all(names.index(one) < names.index(other) for one, other in pairwise(ordered))
    assert names.index("deeplearningexamples-ncf") < names.index("deeplearningexamples-dlrm")


def test_times_are_those_of_an_a100_server_unless_brought_elsewhere() -> None:
    known = ranking_framework("torchrec")
    assert known.on_host(19.1e-6).step_s == pytest.approx(known.step_s)
    assert known.on_host(13.48e-6).step_s == pytest.approx(known.step_s * 13.48 / 19.1)
