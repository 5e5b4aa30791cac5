"""Seconds of look-ups: rows from memory at the published rates, from the cache faster, short rows slower."""

from dataclasses import replace

import pytest
from test_embedding_bytes import work

from clustersim import catalog
from clustersim.cost.efficiency import curve_set
from clustersim.cost.operators import Operator, RowShape
from clustersim.cost.ranking.embedding import lookup
from clustersim.cost.roofline import Roofline
from clustersim.cost.row_curve import SHELF


def seconds(device, wanted, precision="fp32"):
    accelerator = catalog.accelerator(device)
    cache = accelerator.last_level_cache_bytes
    return Roofline(accelerator).kernel(lookup(wanted, output_precision=precision, cache_bytes=cache)).seconds


# Mudigere et al. (arXiv:2104.05158): 1,300 GB/s of look-ups on A100 (1,555 GB/s); FBGEMM on H100 with
# 2.4 TB/s of HBM2e: over 82 % with rows of 128 elements (meta-pytorch/torchrec pull request 4688).
@pytest.mark.parametrize(("device", "rate"), [("a100-sxm4-40gb", 1.30e12), ("h100-sxm5-96gb", 0.82 * 2.4e12)])
def test_large_tables_are_read_at_the_published_rate(device, rate):
    wanted = work(rows=10**8, bags=65_536, pooling=32.0)
    accelerator = catalog.accelerator(device)
    moved = lookup(wanted, output_precision="fp32", cache_bytes=accelerator.last_level_cache_bytes)
    assert moved.bytes_moved / seconds(device, wanted) == pytest.approx(rate, rel=0.02)


def test_rows_that_the_cache_holds_take_less_than_their_bytes_from_memory():
    hot, cold = work(rows=10_000, bags=65_536, pooling=10.0), work(rows=10**8, bags=65_536, pooling=10.0)
    assert seconds("h100", hot) < 0.7 * seconds("h100", cold)


@pytest.mark.parametrize("columns", [4, 8, 16])
def test_rows_shorter_than_a_line_are_no_faster_per_row(columns):
    wanted = (work(rows=1000, columns=width, bags=10**6, pooling=20.0) for width in (columns, 32))
    short, line = (seconds("h100", each) for each in wanted)
    assert 0.7 * line < short < line


# meta-pytorch/torchrec pull request 2365: 16 tables of 100,000 rows, 131,072 bags of 10, forward,
# milliseconds, 90th percentile (the device is not named: later ones of the same authors have 2.4 TB/s).
MEASURED_MS = {16: 0.588, 32: 0.723, 64: 1.294, 128: 2.735}


@pytest.mark.parametrize(("columns", "measured_ms"), MEASURED_MS.items())
def test_cached_tables_of_several_widths(columns, measured_ms):
    accelerator = catalog.accelerator("h100-sxm5-96gb")
    one = lookup(
        work(rows=100_000, columns=columns, bags=131_072, pooling=10.0),
        output_precision="fp32",
        cache_bytes=accelerator.last_level_cache_bytes,
    )
    sixteen = replace(one, shape=RowShape(16 * one.shape.memory_bytes, 16 * one.shape.cache_bytes))
    predicted_ms = Roofline(accelerator).kernel(sixteen).seconds * 1e3
    assert predicted_ms == pytest.approx(measured_ms, rel=0.1)


@pytest.mark.parametrize("name", ["a100", "h100", "a40"])
def test_every_curve_set_has_sourced_rates_for_rows(name):
    assert curve_set(name).rows == SHELF.get(name)
    assert {"latency_s", "efficiency", "cache_ratio"} <= set(SHELF.record(name).sources)


def test_halving_the_bandwidth_doubles_all_but_the_latency():
    device = catalog.accelerator("h100")
    slower = replace(device, memory_bandwidth_bytes_per_s=device.memory_bandwidth_bytes_per_s / 2)
    operator = Operator(
        name="x", kind="embedding_bag", flops=0.0, bytes_moved=1e9, precision="fp32", shape=RowShape(1e9, 4e9)
    )
    fast, slow = (curve_set("h100").rows.roofs(operator, each) for each in (device, slower))
    assert slow.memory_s == pytest.approx(2 * fast.memory_s)
    assert slow.latency_s == fast.latency_s
