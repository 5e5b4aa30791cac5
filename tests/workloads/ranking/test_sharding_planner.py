"""The planner: memory is kept, what is said holds, nothing is worse than taking turns, errors say where."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sharding_cases import devices, plan_of, some_devices, some_tables, table

from clustersim.cost.ranking.popularity import Popularity
from clustersim.errors import CannotRunError, InputError
from clustersim.workloads.ranking.sharding.shard import EVERY_RANK
from clustersim.workloads.ranking.sharding.summary import plan_summary

DCN_V2 = [
    table(f"t{n}", rows=rows, dimension=128, pooling=float(hot))
    for n, (rows, hot) in enumerate(
        [(4 * 10**7, 3), (40_000, 2), (4 * 10**7, 7), (4 * 10**7, 100), (10**6, 27), (99, 1)]
    )
]


@settings(max_examples=40, deadline=None)
@given(tables=some_tables, on=some_devices)
def test_greedy_is_never_slower_than_whole_tables_in_turn(tables, on):
    turns = [
        {"name": each.name, "kind": "table-wise", "ranks": [n % on.ranks]} for n, each in enumerate(tables)
    ]
    in_turn, greedy = plan_of(tables, on=on, tables=turns), plan_of(tables, on=on)
    assert greedy.predicted_s.max() <= in_turn.predicted_s.max() * (1 + 1e-9)
    assert greedy.imbalance >= 1.0 - 1e-9


@settings(max_examples=30, deadline=None)
@given(tables=some_tables, on=some_devices, kind=st.sampled_from(["table-wise", "row-wise"]))
def test_greedy_is_never_slower_than_one_kind_for_all(tables, on, kind):
    alike, greedy = plan_of(tables, on=on, plan=kind), plan_of(tables, on=on)
    assert greedy.predicted_s.max() <= alike.predicted_s.max() * (1 + 1e-9)


def test_what_is_costed_does_not_grow_with_tables_or_ranks(monkeypatch):
    """Costs are made for all tables at once, one time per way to divide them: so a thousand are fast."""
    counted = []
    touched = Popularity.distinct_rows
    monkeypatch.setattr(Popularity, "distinct_rows", lambda *given: counted.append(1) or touched(*given))
    tables = [table(f"t{n}", rows=1000 + 7 * n, dimension=128, pooling=1.0 + n % 40) for n in range(400)]
    plan_of(tables, on=devices(1024, per_node=8))
    assert 0 < len(counted) <= 25


@settings(max_examples=40, deadline=None)
@given(tables=some_tables)
def test_the_same_tables_give_the_same_plan(tables):
    assert list(plan_of(tables).shards) == list(plan_of(tables).shards)


def test_a_hot_table_is_divided():
    plan = plan_of(DCN_V2, on=devices(8, per_node=8), batch=6912.0)
    whole = plan_of(DCN_V2, on=devices(8, per_node=8), batch=6912.0, plan="table-wise")
    assert plan.placements[3].grid != "table-wise"
    assert plan.imbalance < 1.15 < 3.0 < whole.imbalance
    assert plan.predicted_s.max() < 0.6 * whole.predicted_s.max()


def test_over_nodes_sums_are_made_inside_them():
    plan = plan_of(DCN_V2, on=devices(64, per_node=8), batch=864.0)
    assert plan.placements[3].grid == "table-row-wise"


def test_a_table_larger_than_a_gpu_is_divided_by_columns_where_they_are_many():
    plan = plan_of([table(rows=10**6, dimension=1024)], on=devices(4, memory_bytes=3e9))
    assert plan.placements[0].grid == "column-wise"
    assert (plan.memory_bytes() <= 3e9 * 0.85).all()


def test_a_table_larger_than_a_gpu_is_divided_by_rows_where_columns_are_few():
    plan = plan_of([table(rows=10**7, dimension=64)], on=devices(4, memory_bytes=1e9))
    assert plan.placements[0].grid in ("row-wise", "table-row-wise")


def test_tables_that_fill_the_memory_are_packed_by_size():
    sizes = [5, 5, 4, 4, 3, 3]
    tables = [
        table(f"t{n}", rows=size * 10**6, dimension=128, pooling=7.0 - size) for n, size in enumerate(sizes)
    ]
    plan = plan_of(
        tables, on=devices(2, memory_bytes=12.2 * 512e6 / 0.85), plan="table-wise", optimizer="sgd"
    )
    assert sorted(plan.memory_bytes().tolist()) == [12 * 512e6] * 2


def test_small_tables_are_kept_by_every_rank_where_the_scenario_says_so():
    plan = plan_of(DCN_V2, batch=864.0, replicate_below="22 MB")
    held = {shard.table for shard in plan.shards if shard.rank == EVERY_RANK}
    assert held == {1, 5}


def test_what_is_said_of_tables_holds_and_the_rest_goes_around_it():
    entries = [
        {"name": "t3", "kind": "row-wise", "ranks": [0, 1]},
        {"name": "t?", "kind": "table-wise"},
    ]
    plan = plan_of(DCN_V2, tables=entries, batch=864.0)
    by_table = {n: [shard.rank for shard in plan.shards if shard.table == n] for n in range(6)}
    assert by_table[3] == [0, 1]
    assert all(len(ranks) == 1 and ranks[0] not in (0, 1) for n, ranks in by_table.items() if n != 3)


def test_table_row_wise_over_two_nodes_is_on_all_their_gpus():
    entry = {"name": "t3", "kind": "table-row-wise", "parts": 8}
    plan = plan_of(DCN_V2, on=devices(16), tables=[entry], batch=864.0)
    ranks = [shard.rank for shard in plan.shards if shard.table == 3]
    nodes = {rank // 4 for rank in ranks}
    assert len(ranks) == 8
    assert ranks == [rank for node in sorted(nodes) for rank in range(4 * node, 4 * node + 4)]


def test_hugectrs_cost_plans_over_nodes():
    on = devices(32, per_node=8)
    plan = plan_of(DCN_V2, on=on, batch=864.0, cost="lookups", replicate_below="1 MB")
    for number, placement in enumerate(plan.placements[:5]):
        ranks = {shard.rank for shard in plan.shards if shard.table == number}
        assert placement.grid == "table-row-wise"
        assert len(ranks) == 8 * len({rank // 8 for rank in ranks})
    assert len({shard.rank for shard in plan.shards if shard.table == 3}) > 8


def test_the_summary_says_kinds_memory_and_imbalance():
    lines = plan_summary(plan_of(DCN_V2, on=devices(8, per_node=8), batch=6912.0)).splitlines()
    assert lines[0] == "6 tables over 8 ranks, 8 per node: 3 table-wise, 3 row-wise"
    assert lines[-1].startswith("predicted per batch: slowest rank 7 ")
    assert lines[-1].endswith("imbalance 1.03")


def test_a_grid_of_shards_of_ones_own():
    shards = [
        {"rank": rank, "rows": [low, high], "columns": [first, first + 64]}
        for rank, (low, high, first) in enumerate([(0, 30, 0), (0, 30, 64), (30, 99, 0), (30, 99, 64)])
    ]
    plan = plan_of(DCN_V2[5:], on=devices(4), tables=[{"name": "t5", "shards": shards}])
    assert plan.placements[0].grid == "custom"
    assert plan.lookups(99.0).tolist() == pytest.approx([4 * 30, 4 * 30, 4 * 69, 4 * 69])
    assert plan.forward_bytes(1.0)[0].tolist() == [0.0, 256.0, 256.0, 256.0]


def shards_of(*parts):
    return {"name": "t5", "shards": list(parts)}


WRONG_ENTRIES = {
    "no such table": (
        {"name": "t9", "kind": "row-wise"},
        r"sharding\.tables\[0\]\.name: no table is called 't9'\. Known: t0, t1",
    ),
    "no such GPU": (
        {"name": "t1", "kind": "table-wise", "ranks": [8]},
        r"sharding\.tables\[0\]: there is no GPU 8; the job's are 0 to 7",
    ),
    "a row left out": (shards_of({"rank": 0, "rows": [0, 98]}), r"hold 12,544 of its 12,672 elements"),
    "rows held twice": (
        shards_of({"rank": 0}, {"rank": 1, "rows": [9, 11]}),
        r"shards 0 and 1 of 't5' overlap",
    ),
    "a row too many": (
        shards_of({"rank": 0, "rows": [0, 100]}),
        r"rows 0 to 100 of 't5', which has rows 0 to 99",
    ),
    "more parts than GPUs": (
        {"name": "t1", "kind": "row-wise", "parts": 9},
        r"sharding\.tables\[0\]: 9 parts, but at most 8 are possible",
    ),
    "half a node": (
        {"name": "t1", "kind": "table-row-wise", "parts": 6},
        r"6 parts are no whole nodes of 4 GPUs",
    ),
    "no column": (shards_of({"rank": 0, "columns": [3, 3]}), r"columns 3 to 3 of 't5'"),
}


@pytest.mark.parametrize(("entry", "message"), WRONG_ENTRIES.values(), ids=WRONG_ENTRIES)
def test_wrong_entries_are_refused_with_their_place(entry, message):
    with pytest.raises(InputError, match=message):
        plan_of(DCN_V2, tables=[entry])


def test_a_plan_file_says_where_each_table_is(tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text(
        "tables:\n"
        "  - {name: t3, kind: row-wise, ranks: [0, 1, 2, 3]}\n"
        "  - {name: t5, kind: data-parallel}\n"
        "  - {name: 't*', kind: table-wise, ranks: [7]}\n"
    )
    plan = plan_of(DCN_V2, file=str(file))
    assert [placement.grid for placement in plan.placements] == [
        *["table-wise"] * 3, "row-wise", "table-wise", "data-parallel"
    ]  # fmt: skip
    assert plan.predicted_s[7] == plan.predicted_s.max() > plan.predicted_s[4]


WRONG_FILES = {
    "{name: t3, kind: row-wise, ranks: [0]}": r"tables: 5 of 6 tables have no entry: 't0', 't1', 't2', …",
    "{name: 't*', kind: row-wise}": r"plan\.yaml:2:5: tables\[0\]: has to say where the table is",
    "{name: 't*', kind: row-wise, ranks: [0, 9]}": r"plan\.yaml:2:5: tables\[0\]: there is no GPU 9",
}


@pytest.mark.parametrize(("entry", "message"), WRONG_FILES.items())
def test_a_wrong_plan_file_is_refused_with_its_place(entry, message, tmp_path):
    (tmp_path / "plan.yaml").write_text(f"tables:\n  - {entry}\n")
    with pytest.raises(InputError, match=message):
        plan_of(DCN_V2, file=str(tmp_path / "plan.yaml"))


def test_tables_that_do_not_fit_are_refused_with_what_they_take_and_what_would_fit():
    with pytest.raises(CannotRunError) as refused:
        plan_of(DCN_V2, on=devices(2, memory_bytes=32e9), optimizer="adagrad")
    message = str(refused.value)
    assert "sharding: the tables take 115.4 GiB with states of adagrad (57.72 GiB of rows in fp32)" in message
    assert "2 GPUs of 29.8 GiB leave 50.66 GiB for them (15% reserved)" in message
    assert "they would fit with 5 GPUs or 'spill: true'" in message


def test_gpus_that_the_error_names_are_enough():
    plan = plan_of(DCN_V2, on=devices(5, per_node=5, memory_bytes=32e9), optimizer="adagrad")
    assert (plan.memory_bytes() <= 32e9 * 0.85).all()


def test_spilling_moves_no_more_tables_than_needed_and_the_least_looked_up_first():
    on = devices(2, memory_bytes=36e9)
    plan = plan_of(DCN_V2, on=on, spill=True, cache=0.1)
    assert [placement.place for placement in plan.placements] == ["uvm-cached", *["hbm"] * 5]
    assert (plan.memory_bytes() <= 36e9 * 0.85).all()
    assert plan.host_traffic(128.0).to_device.sum() > 0.0
    roomy = plan_of(DCN_V2, on=devices(2), spill=True)
    assert all(placement.place == "hbm" for placement in roomy.placements)


def test_predicted_times_follow_the_batch():
    small, large = (plan_of(DCN_V2, batch=batch, plan="table-wise").predicted_s for batch in (1000.0, 2000.0))
    assert (np.sort(large) > 1.5 * np.sort(small)).sum() >= 6
