"""What may be said of sharding: what contradicts itself is refused in words."""

import pytest
from pydantic import ValidationError

from clustersim.spec.ranking.sharding import ShardingSpec, TableShardingSpec, UserPlanSpec


def test_nothing_said_is_the_greedy_planner_in_gpu_memory():
    spec = ShardingSpec()
    assert (spec.chosen_plan, spec.chosen_cost, spec.place, spec.spill) == ("greedy", "kernels", "hbm", None)
    assert (spec.reserve, spec.cache, spec.min_columns) == (0.15, 0.2, 128)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shards": [{"rank": 0}], "kind": "row-wise"}, "says the same as 'shards'"),
        ({"shards": [{"rank": 0}], "parts": 2}, "says the same as 'shards'"),
        ({"kind": "data-parallel", "ranks": [0]}, "has no 'ranks' and no 'parts'"),
        ({"kind": "table-wise", "ranks": [0, 1]}, "is on one GPU, not on 2"),
        ({"kind": "row-wise", "ranks": [1, 1]}, "names a GPU twice"),
        ({"ranks": [1]}, "needs 'kind'"),
        ({"kind": "row-wise", "ranks": [0, 1], "parts": 3}, "3 parts for 2 GPUs"),
    ],
)
def test_an_entry_says_a_thing_once(fields, message):
    with pytest.raises(ValidationError, match=message):
        TableShardingSpec(name="t", **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"file": "plan.yaml", "plan": "row-wise"}, "has no meaning beside 'file'"),
        (
            {"file": "plan.yaml", "tables": [{"name": "t", "kind": "row-wise"}]},
            "has no meaning beside 'file'",
        ),
        ({"tables": [{"name": "t"}]}, "says nothing of the table"),
        ({"plan": "rows"}, "Input should be"),
        ({"reserve": 1.0}, "less than 1"),
    ],
)
def test_a_scenario_says_where_tables_are_in_one_place(fields, message):
    with pytest.raises(ValidationError, match=message):
        ShardingSpec(**fields)


def test_a_plan_file_says_where_each_table_is():
    with pytest.raises(ValidationError, match="has to say where the table is"):
        UserPlanSpec(tables=[{"name": "t", "kind": "column-wise"}])
    assert UserPlanSpec(tables=[{"name": "t", "kind": "data-parallel"}]).tables[0].ranks is None
