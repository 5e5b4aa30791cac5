"""Plans: nothing of a table is lost or doubled, bytes are conserved, memory is what the shards take."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sharding_cases import devices, plan_of, some_devices, some_tables, table

from clustersim.spec.ranking.sharding import SHARDING_KINDS
from clustersim.workloads.ranking.sharding.shard import EVERY_RANK

kinds = st.sampled_from(["greedy", *SHARDING_KINDS])
few = settings(max_examples=40, deadline=None)


@few
@given(tables=some_tables, on=some_devices, plan=kinds)
def test_each_row_and_column_is_held_once_or_by_every_rank(tables, on, plan):
    plan = plan_of(tables, on=on, plan=plan, min_columns=32)
    shards = plan.shards
    for number, each in enumerate(tables):
        own = [shard for shard in shards if shard.table == number]
        assert sum(shard.rows * shard.columns for shard in own) == each.parameters
        edges = {(shard.first_row, shard.first_column) for shard in own}
        assert len(edges) == len(own)
        assert all(shard.first_row + shard.rows <= each.rows for shard in own)
        assert all(shard.first_column + shard.columns <= each.dimension for shard in own)
        everywhere = [shard.rank == EVERY_RANK for shard in own]
        assert not any(everywhere) or len(own) == 1


@few
@given(tables=some_tables, on=some_devices, plan=kinds)
def test_look_ups_of_all_ranks_are_those_of_the_batch_once_per_part_of_the_columns(tables, on, plan):
    plan = plan_of(tables, on=on, plan=plan, min_columns=32)
    expected = 0.0
    for number, each in enumerate(tables):
        parts = len({shard.first_column for shard in plan.shards if shard.table == number})
        expected += 128.0 * on.ranks * each.pooling * parts
    assert plan.lookups(128.0).sum() == pytest.approx(expected, rel=1e-9)


@few
@given(tables=some_tables, on=some_devices, plan=kinds)
def test_every_byte_sent_back_was_sent_forward_the_other_way(tables, on, plan):
    plan = plan_of(tables, on=on, plan=plan, min_columns=32)
    forward, backward = plan.forward_exchanges(64.0), plan.backward_exchanges(64.0)
    assert len(forward) == len(backward)
    for there, back in zip(forward, reversed(backward), strict=True):
        assert (there == back.T).all()
        assert (np.diag(there) == 0.0).all()
        assert (there >= 0.0).all()
    assert plan.forward_bytes(64.0).sum() == pytest.approx(plan.backward_bytes(64.0).sum())


@few
@given(tables=some_tables, on=some_devices)
def test_each_rank_receives_the_pooled_rows_of_its_samples(tables, on):
    plan = plan_of(tables, on=on, plan="table-wise")
    elements = np.zeros(on.ranks)
    for shard in plan.shards:
        elements[shard.rank] += 64.0 * tables[shard.table].output_elements
    received = plan.forward_bytes(64.0).sum(axis=0)
    assert received == pytest.approx(4.0 * (elements.sum() - elements), rel=1e-9)


@few
@given(tables=some_tables, on=some_devices, plan=kinds)
def test_memory_is_that_of_rows_and_states_and_fits(tables, on, plan):
    plan = plan_of(tables, on=on, plan=plan, min_columns=32)
    memory = plan.memory()
    copies = sum(
        4 * shard.rows * shard.columns * (on.ranks if shard.rank == EVERY_RANK else 1)
        for shard in plan.shards
    )
    assert memory.weights.sum() == pytest.approx(copies, rel=1e-12)
    assert (memory.gpu_bytes <= on.memory_bytes * 0.85).all()
    assert (memory.host == 0.0).all()


def test_row_wise_look_ups_spread_evenly():
    plan = plan_of([table(rows=8_000, pooling=10.0)], plan="row-wise")
    assert plan.lookups(100.0) == pytest.approx(np.full(8, 100 * 8 * 10 / 8))


def test_indices_of_a_table_wise_table_go_to_its_owner():
    plan = plan_of([table(pooling=3.0)], tables=[{"name": "t", "kind": "table-wise", "ranks": [5]}])
    sent = plan.index_bytes(100.0)
    assert sent[:, 5].tolist() == [100 * (3 * 8 + 4)] * 5 + [0.0] + [100 * (3 * 8 + 4)] * 2
    assert sent.sum() == sent[:, 5].sum()


def test_table_row_wise_sums_are_made_inside_the_node_first():
    entry = {"name": "t", "kind": "table-row-wise", "ranks": [4, 5, 6, 7]}
    plan = plan_of([table(rows=800, dimension=16)], tables=[entry])
    inside, across = plan.forward_exchanges(10.0)
    vector = 10 * 16 * 4.0
    assert inside[4, 5] == 2 * vector
    assert inside[:4].sum() == inside[:, :4].sum() == 0.0
    assert across[4, 0] == across[7, 3] == vector
    assert across.sum() == 4 * vector


def test_a_table_over_two_nodes_sends_a_sum_from_each():
    entry = {"name": "t", "kind": "table-row-wise", "ranks": list(range(8))}
    on = devices(12, per_node=4)
    plan = plan_of([table(rows=800, dimension=16)], on=on, tables=[entry])
    inside, across = plan.forward_exchanges(10.0)
    vector = 10 * 16 * 4.0
    assert inside[0, 1] == inside[4, 7] == 3 * vector
    assert across[0, 8] == across[4, 8] == across[0, 4] == across[4, 0] == vector
    assert across[8:].sum() == 0.0


def test_table_row_wise_sends_an_eighth_of_row_wise_between_nodes_of_eight():
    tables = [table(rows=10**6, dimension=128)]
    on = devices(16, per_node=8)
    row_wise, nodewise = (plan_of(tables, on=on, plan=kind) for kind in ("row-wise", "table-row-wise"))
    between = [plan.forward_bytes(64.0)[:8, 8:].sum() for plan in (row_wise, nodewise)]
    assert between[0] == pytest.approx(8 * between[1])


def test_user_features_looked_up_once_per_query_send_less():
    tables = [table("user"), table("item")]
    plan = plan_of(tables, plan="table-wise")
    each, once = plan.forward_bytes(100.0), plan.forward_bytes(np.array([1.0, 100.0]))
    assert once.sum() == pytest.approx(each.sum() * 101 / 200)


@pytest.mark.parametrize(
    ("optimizer", "per_row"),
    [
        (None, 0),
        ("sgd", 0),
        ("rowwise-adagrad", 4),
        ("adagrad", 256),
        ("adam", 512),
        ("partial-rowwise-adam", 260),
    ],
)
def test_states_of_the_optimizer(optimizer, per_row):
    memory = plan_of([table(rows=1000, dimension=64)], on=devices(1), optimizer=optimizer).memory()
    assert memory.weights.tolist() == [256_000]
    assert memory.states.tolist() == [1000 * per_row]


def test_a_cached_table_is_in_host_memory_and_its_hottest_rows_in_gpu_memory():
    plan = plan_of([table(rows=1000, dimension=64)], on=devices(1), place="uvm-cached", cache=0.1)
    memory = plan.memory()
    assert memory.cache.tolist() == [25_600]
    assert memory.states.tolist() == [4_000]
    assert memory.host.tolist() == [256_000]


def test_traffic_with_the_host_by_place():
    tables = [table(rows=10**6, dimension=64, pooling=10.0, skew=1.05)]
    traffic = {
        place: plan_of(tables, on=devices(1), place=place).host_traffic(1000.0)
        for place in ("hbm", "uvm-cached", "uvm", "host")
    }
    assert traffic["hbm"].to_device.tolist() == [0.0]
    assert 0.0 < traffic["uvm-cached"].to_device[0] < traffic["uvm"].to_device[0]
    assert traffic["uvm-cached"].to_host == traffic["uvm-cached"].to_device
    assert traffic["host"].to_device.tolist() == [1000 * 64 * 4.0]
    assert traffic["host"].host_memory[0] > 1000 * 10 * 256


@settings(deadline=None)
@given(shares=st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)))
def test_a_larger_cache_never_moves_more_over_the_hosts_link(shares):
    tables = [table(rows=10**6, dimension=64, pooling=10.0, reuse="meta-2021")]
    less, more = (
        plan_of(tables, on=devices(1), place="uvm-cached", cache=share).host_traffic(500.0).to_device[0]
        for share in sorted(shares)
    )
    assert more <= less * (1 + 1e-9)


def test_int8_rows_have_scale_and_bias():
    tables = [table(rows=1000, dimension=64, precision="int8")]
    assert plan_of(tables, on=devices(1), optimizer=None).memory().weights.tolist() == [1000 * (64 + 4)]


def test_a_thousand_ranks_take_one_matrix_not_a_million_objects():
    tables = [table(f"t{n}", rows=1024 * (n + 1)) for n in range(50)]
    plan = plan_of(tables, on=devices(1024, per_node=8), plan="row-wise")
    assert len(plan.shards) == 50 * 1024
    assert plan.forward_bytes(16.0).shape == (1024, 1024)
