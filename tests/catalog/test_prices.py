"""Prices of clouds: those of the reference table, and which is taken."""

from __future__ import annotations

import csv

import pytest

from clustersim import catalog
from clustersim.catalog import prices
from clustersim.errors import CatalogError

GPUS = {"H100-SXM5-80GB": "h100-sxm5-80gb", "H100": "h100-sxm5-80gb"}


def test_prices_are_those_of_the_reference_table(shared):
    with shared("truth/D3_cloud_prices.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = [prices.SHELF.get(name) for name in catalog.names("prices")]
    assert len(rows) == len(known)
    for row, price in zip(rows, known, strict=True):
        assert price.provider == row["provider"]
        assert price.gpus == int(row["n_gpus"])
        assert price.usd_per_s * 3600 == pytest.approx(float(row["usd_per_instance_hour"]))
        gpu = GPUS.get(row["gpu"], row["gpu"])
        assert price.accelerator == catalog.accelerator(gpu).name


def test_the_lowest_price_of_an_accelerator_is_taken_or_that_of_a_provider():
    lowest = prices.cheapest("h100-sxm5-80gb")
    named = prices.cheapest("h100-sxm5-80gb", provider="aws")
    assert lowest is not None
    assert named is not None
    assert lowest.usd_per_gpu_s * 3600 == pytest.approx(2.99)
    assert named.usd_per_gpu_s * 3600 == pytest.approx(12.29)
    assert prices.cheapest("mi300x") is None


def test_a_provider_without_a_price_is_refused_with_those_that_have_one():
    with pytest.raises(CatalogError, match=r"no price of 'Lamda' for h100-sxm5-80gb\. Did you mean 'Lambda'"):
        prices.cheapest("h100-sxm5-80gb", provider="Lamda")
