"""Frozen efficiency curves against measured kernels, re-typed with their source.

ai-dynamo/aiconfigurator@095f58a51c, systems/data/{a100_sxm, h100_sxm}: gemm and attention
tables of vLLM 0.14.0 (A100) and 0.19.0 (H100), CUDA graphs, microseconds.
"""

import statistics

import pytest

from clustersim import catalog
from clustersim.cost.efficiency import SHELF, curve_set
from clustersim.cost.operators import decode_attention, gemm, prefill_attention
from clustersim.cost.roofline import Roofline

PRODUCTS = [
    ("a100", "bf16", 16, 8192, 8192, 100.637),
    ("a100", "bf16", 256, 4096, 4096, 54.431),
    ("a100", "bf16", 1024, 12288, 4096, 406.325),
    ("a100", "bf16", 4096, 8192, 8192, 1978.115),
    ("h100", "bf16", 1, 4096, 4096, 16.059),
    ("h100", "bf16", 1, 4096, 16384, 49.608),
    ("h100", "bf16", 64, 4096, 4096, 15.259),
    ("h100", "bf16", 64, 4096, 16384, 56.907),
    ("h100", "bf16", 512, 4096, 4096, 24.607),
    ("h100", "bf16", 512, 4096, 16384, 87.522),
    ("h100", "bf16", 8192, 4096, 4096, 366.955),
    ("h100", "bf16", 8192, 4096, 16384, 1430.485),
    ("h100", "fp8", 16, 8192, 8192, 28.036),
    ("h100", "fp8", 4096, 8192, 8192, 450.621),
]
# device, batch, queries (1: decode), keys, heads, key-value heads
ATTENTION = [
    ("a100", 1, 4096, 4096, 32, 8, 899.616),
    ("a100", 4, 2048, 2048, 32, 32, 1015.557),
    ("a100", 32, 512, 512, 64, 8, 1352.88),
    ("a100", 4, 1, 16384, 64, 8, 187.984),
    ("a100", 16, 1, 8192, 32, 8, 341.968),
    ("a100", 64, 1, 2048, 8, 8, 342.704),
    ("a100", 64, 1, 4096, 32, 8, 681.616),
    ("h100", 1, 4096, 4096, 32, 8, 225.707),
    ("h100", 4, 2048, 2048, 32, 32, 277.509),
    ("h100", 32, 512, 512, 64, 8, 457.675),
    ("h100", 4, 1, 16384, 64, 8, 99.381),
    ("h100", 16, 1, 8192, 32, 8, 186.341),
    ("h100", 64, 1, 2048, 8, 8, 187.403),
    ("h100", 64, 1, 4096, 32, 8, 360.373),
]


def attention(batch, queries, keys, heads, kv_heads):
    shape = {"heads": heads, "kv_heads": kv_heads, "head_dim": 128, "precision": "bf16"}
    if queries == 1:
        return decode_attention("decode", batch=batch, context_sum=batch * keys, **shape)
    return prefill_attention("prefill", batch=batch, queries=queries, past=keys - queries, **shape)


def errors(rows):
    for device, operator, microseconds in rows:
        seconds = Roofline(catalog.accelerator(device)).time(operator).seconds
        yield abs(seconds * 1e6 / microseconds - 1)


def test_matrix_products_are_within_ten_percent_in_the_median():
    found = list(errors((d, gemm("g", m=m, n=n, k=k, precision=p), us) for d, p, m, n, k, us in PRODUCTS))
    assert statistics.median(found) < 0.10
    assert max(found) < 0.25


def test_attention_is_within_fifteen_percent_in_the_median():
    found = list(errors((d, attention(*shape), us) for d, *shape, us in ATTENTION))
    assert statistics.median(found) < 0.15
    assert max(found) < 0.30


@pytest.mark.parametrize("name", SHELF.names())
def test_every_curve_has_a_source_and_shares_below_one(name):
    curves = curve_set(name)
    named = [f"gemm.{precision}" for precision in curves.gemm]
    named += ["prefill_attention", "grouped_decode", "plain_decode", *(f"memory.{k}" for k in curves.memory)]
    for curve in named:
        assert curve in curves.sources or curve.split(".")[0] in curves.sources
    for curve in (*curves.gemm.values(), *curves.memory.values(), curves.prefill_attention):
        assert 0.1 < curve.efficiency <= 1.0
        assert curve.latency_s < 2e-5


def test_every_accelerator_names_curves_for_all_its_precisions():
    for name in catalog.names("accelerators"):
        device = catalog.accelerator(name)
        assert set(device.peak_flops) <= set(curve_set(device.efficiency).gemm)
