"""Alignment: products of rows that are no multiples of whole cache lines run slower, others as before."""

from dataclasses import replace
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.cost.efficiency import curve_set
from clustersim.cost.operators import ALIGNED_BYTES, gemm, grouped_gemm, padded
from clustersim.cost.roofline import Roofline, SustainedRoofline
from clustersim.cost.training.block import gradient_products
from clustersim.cost.training.ends import output_block
from clustersim.cost.training.passes import TransformerPass
from clustersim.study.validation.framework import read_table
from clustersim.study.validation.kernels.rows import COLUMNS, table_rows

A100 = catalog.accelerator("a100-sxm4-40gb")
PRODUCTS = ("a100", "h100", "a40")


def product(n, k, *, m=4096, precision="bf16"):
    return gemm("product", m=m, n=n, k=k, precision=precision)


def seconds(operator, device=A100):
    return Roofline(device).kernel(operator).seconds


@pytest.mark.parametrize("name", PRODUCTS)
def test_whole_cache_lines_cost_what_a_curve_without_alignment_says(name):
    curve = curve_set(name).gemm["bf16"]
    plain = replace(curve, alignment={})
    for n, k in ((64, 64), (4096, 11008), (12288, 1728), (192, 2048)):
        assert curve.roofs(product(n, k), A100) == plain.roofs(product(n, k), A100)


@given(n=st.integers(1, 300), k=st.integers(1, 300), odd=st.integers(0, 5))
def test_rows_that_are_multiples_of_more_are_never_slower_for_equal_flops(n, k, odd):
    curve = curve_set("a100").gemm["bf16"]
    operator = product(64 * n, 64 * k)
    sizes = (2, 4, 8, 16, 32, 64, 128)
    shapes = [replace(operator.shape, alignment_bytes=size) for size in sizes]
    times = [curve.roofs(replace(operator, shape=shape), A100).compute_s for shape in shapes]
    assert times == sorted(times, reverse=True)
    assert times[0] > 2 * times[-1]
    assert product(2**odd, 4096).shape.alignment_bytes == 2 * 2**odd


def test_only_the_length_of_rows_counts_not_their_number():
    assert product(4096, 4096, m=2047).shape.alignment_bytes == ALIGNED_BYTES
    assert product(4096, 150).shape.alignment_bytes == 4
    assert product(108, 4096).shape.alignment_bytes == 8
    assert product(4096, 1800).shape.alignment_bytes == 16


def test_alignment_is_one_of_bytes():
    assert product(4096, 1800, precision="fp8").shape.alignment_bytes == 8
    assert product(4096, 1800, precision="fp32").shape.alignment_bytes == 32


def test_gradients_have_the_rows_of_their_layer():
    forward = grouped_gemm("scores", groups=8, m=2047, n=2048, k=108, precision="fp16")
    for gradient in gradient_products(forward):
        assert gradient.shape.alignment_bytes == forward.shape.alignment_bytes == 8
        assert gradient.flops == forward.flops
    aligned = product(4096, 4096, m=1)
    assert all(each.shape.alignment_bytes == ALIGNED_BYTES for each in gradient_products(aligned))


def test_vocabularies_are_padded():
    model = replace(catalog.model("llama-2-7b"), vocab=50_257)
    run = TransformerPass(model=model, samples=1, sequence=1024, arithmetic="bf16", attention="fused")
    part = output_block(run).part
    logits = [each for each in (*part.forward, *part.backward, *part.weight) if each.kind == "gemm"]
    assert len(logits) == 3
    assert {each.shape.alignment_bytes for each in logits} == {ALIGNED_BYTES}
    assert padded(product(50_257, 4096)).flops == product(50_257, 4096).flops


@pytest.mark.parametrize("name", PRODUCTS)
def test_the_catalogue_says_where_each_factor_is_from(name):
    curves = curve_set(name)
    factors = curves.gemm["bf16"].alignment
    assert "alignment" in curves.sources
    assert list(factors) == sorted(factors, reverse=True)
    assert list(factors.values()) == sorted(factors.values())
    assert min(factors.values()) >= 1.0


def test_published_rates_of_unaligned_products_are_met_better_than_without():
    path = resources.files("clustersim.study.validation") / "data" / "kernels.csv"
    rows = [row for row in table_rows(read_table(path, COLUMNS)) if row.table == "Anthony et al."]
    unaligned = [row for row in rows if row.operators[0].shape.alignment_bytes <= 8]
    assert len(rows) == 88
    errors = np.log([seconds(row.operators[0]) / row.seconds for row in unaligned])
    without = np.log([seconds(padded(row.operators[0])) / row.seconds for row in unaligned])
    assert np.median(np.abs(errors)) < 0.2
    assert np.median(without) < -0.35
    assert abs(np.median(errors)) < 0.1


def test_a_long_stream_is_held_back_by_power_or_by_alignment_not_by_both():
    sustained = SustainedRoofline(catalog.accelerator("a100"))
    held, slow = product(8192, 8192, m=8192), product(8191, 8192, m=8192)
    factor = curve_set("a100").gemm["bf16"].alignment[2]
    assert 1.5 < sustained.kernel(slow).seconds / sustained.kernel(held).seconds < factor
