"""Kernels of all ranks at once are those of each rank alone, for any plan."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sharding_cases import devices, plan_of, some_tables, table

from clustersim import catalog
from clustersim.cost.ranking.embedding import lookup, update
from clustersim.cost.roofline import Roofline
from clustersim.spec.ranking.sharding import SHARDING_KINDS
from clustersim.workloads.ranking.sharding.kernels import rank_kernels, replicated_kernels

H100 = catalog.accelerator("h100")
CACHE = H100.last_level_cache_bytes


def alone(plan, rank, batch):
    work = plan.work(rank, batch)
    looked_up = lookup(work, output_precision="fp32", cache_bytes=CACHE)
    updated = update(work, gradient_precision="fp32", optimizer=plan.optimizer, cache_bytes=CACHE)
    return looked_up, *updated


@settings(max_examples=25, deadline=None)
@given(tables=some_tables, plan=st.sampled_from(["greedy", *SHARDING_KINDS[:4]]))
def test_all_ranks_at_once_as_rank_by_rank(tables, plan):
    plan = plan_of(tables, plan=plan, min_columns=32)
    for rank, kernels in enumerate(rank_kernels(plan, 128.0, accelerator=H100)):
        for fast, slow in zip((kernels.lookup, *kernels.update), alone(plan, rank, 128.0), strict=True):
            assert fast.bytes_moved == pytest.approx(slow.bytes_moved, rel=1e-9)
            fast_s, slow_s = (Roofline(H100).kernel(each).seconds for each in (fast, slow))
            assert fast_s == pytest.approx(slow_s, rel=1e-9)


def test_tables_that_are_only_read_have_no_update():
    plan = plan_of([table()], optimizer=None)
    assert all(kernels.update == () for kernels in rank_kernels(plan, 128.0, accelerator=H100))


def test_replicated_tables_are_looked_up_for_the_own_samples_and_reduced_whole():
    plan = plan_of([table(rows=1000, dimension=64, pooling=2.0)], plan="data-parallel")
    kernels = replicated_kernels(plan, 128.0, accelerator=H100)
    assert kernels.lookup.flops == 128 * 2 * 64
    assert plan.all_reduce_bytes() == 1000 * 64 * 4
    assert rank_kernels(plan, 128.0, accelerator=H100)[0].lookup.bytes_moved == 0.0
    assert replicated_kernels(plan_of([table()]), 128.0, accelerator=H100) is None


def test_the_fullest_rank_of_a_skewed_plan_takes_longest():
    tables = [
        table(f"t{n}", rows=10**6, dimension=128, pooling=float(hot)) for n, hot in enumerate((100, 1, 1, 1))
    ]
    entries = [{"name": f"t{n}", "kind": "table-wise", "ranks": [n]} for n in range(4)]
    plan = plan_of(tables, on=devices(4), tables=entries, batch=4096.0)
    kernels = rank_kernels(plan, 4096.0, accelerator=H100)
    seconds = [Roofline(H100).kernel(each.lookup).seconds for each in kernels]
    assert seconds[0] > 20 * seconds[1]
    assert plan.imbalance > 3.0
