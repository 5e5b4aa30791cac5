"""Who sends which part of the KV to whom when layouts differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.workloads.inference.fleet.kv_shards import KvShards, resharded


def shards(name, *, tensor, kv_heads=8, stages=1):
    gpus = [f"{name}{number}" for number in range(tensor * stages)]
    ends = tuple((stage + 1) / stages for stage in range(stages))
    return KvShards(gpus, ends, min(tensor, kv_heads))


def test_equal_layouts_send_rank_by_rank():
    parts, copies = resharded(shards("p", tensor=4), shards("d", tensor=4))
    assert parts == {(f"p{rank}", f"d{rank}"): 0.25 for rank in range(4)}
    assert copies == 1.0


def test_two_ranks_gather_from_four_and_four_take_halves_of_two():
    gathered, _ = resharded(shards("p", tensor=4), shards("d", tensor=2))
    assert gathered == {("p0", "d0"): 0.25, ("p1", "d0"): 0.25, ("p2", "d1"): 0.25, ("p3", "d1"): 0.25}
    halved, _ = resharded(shards("p", tensor=2), shards("d", tensor=4))
    assert halved == {("p0", "d0"): 0.25, ("p0", "d1"): 0.25, ("p1", "d2"): 0.25, ("p1", "d3"): 0.25}


def test_more_ranks_than_heads_hold_copies_that_all_have_to_come():
    parts, copies = resharded(shards("p", tensor=2, kv_heads=2), shards("d", tensor=4, kv_heads=2))
    assert copies == 2.0
    assert parts == {("p0", "d0"): 0.25, ("p0", "d1"): 0.25, ("p1", "d2"): 0.25, ("p1", "d3"): 0.25}


def test_a_latent_cache_goes_whole_to_every_rank_from_ranks_that_take_turns():
    parts, copies = resharded(shards("p", tensor=2, kv_heads=1), shards("d", tensor=4, kv_heads=1))
    assert copies == 4.0
    assert parts == {("p0", "d0"): 0.25, ("p1", "d1"): 0.25, ("p0", "d2"): 0.25, ("p1", "d3"): 0.25}


def test_layers_go_to_the_stage_that_computes_them():
    parts, copies = resharded(shards("p", tensor=2), shards("d", tensor=1, stages=2))
    assert parts == {("p0", "d0"): 0.25, ("p1", "d0"): 0.25, ("p0", "d1"): 0.25, ("p1", "d1"): 0.25}
    assert copies == 1.0


@given(
    tensors=st.tuples(st.sampled_from([1, 2, 4, 8, 16]), st.sampled_from([1, 2, 4, 8, 16])),
    stages=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    kv_heads=st.sampled_from([1, 2, 8]),
)
def test_every_rank_gets_exactly_the_layers_and_heads_that_it_attends_with(tensors, stages, kv_heads):
    source, target = (
        shards(name, tensor=tensor, kv_heads=kv_heads, stages=stage)
        for name, tensor, stage in zip("pd", tensors, stages, strict=True)
    )
    parts, copies = resharded(source, target)
    assert sum(parts.values()) == pytest.approx(1.0)
    held = 1.0 / (min(tensors[1], kv_heads) * stages[1])
    for gpu in target.gpus:
        got = copies * sum(part for (_, to), part in parts.items() if to == gpu)
        assert got == pytest.approx(held)
    assert copies == pytest.approx(len(target.gpus) * held)
