"""Ranks, groups and lanes of a training job."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.errors import InputError
from clustersim.spec.parallelism import DIMENSIONS as NUMBERED_BY
from clustersim.spec.parallelism import TrainingParallelismSpec
from clustersim.spec.training import TrainingSpec
from clustersim.workloads.training.divisibility import check_model, micro_batches, nearest_divisors
from clustersim.workloads.training.layout import DIMENSIONS, Coordinates, Layout

_PARTITIONS = tuple(name for name in DIMENSIONS if name not in ("pipeline", "model", "embedding"))
"""Dimensions whose groups divide the ranks of a stage."""


def layout(gpus: int, **fields: Any) -> Layout:
    return Layout.of(TrainingParallelismSpec.model_validate(fields), gpus=[str(gpu) for gpu in range(gpus)])


def ranks(groups: tuple[tuple[str, ...], ...]) -> list[list[int]]:
    return [[int(gpu) for gpu in group] for group in groups]


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    sizes = {name: draw(st.integers(1, 4)) for name in NUMBERED_BY}
    stage_ranks = sizes["tensor"] * sizes["context"] * sizes["data"]
    expert_tensor = draw(st.sampled_from([d for d in range(1, stage_ranks + 1) if stage_ranks % d == 0]))
    experts = stage_ranks // expert_tensor
    fields: dict[str, Any] = {
        **sizes,
        "expert_tensor": expert_tensor,
        "expert": draw(st.sampled_from([d for d in range(1, experts + 1) if experts % d == 0])),
        "zero": draw(st.integers(0, 3)),
        "order": draw(st.permutations(NUMBERED_BY)),
        "mapping": draw(st.permutations(range(math.prod(sizes.values())))),
    }
    if fields["zero"]:
        fields["shard"] = draw(st.sampled_from([d for d in range(1, 5) if sizes["data"] % d == 0]))
    sharing, holding = (
        fields.get("shard", 1) * sizes["context"] * sizes["tensor"],
        fields["expert"] * expert_tensor,
    )
    assume(sharing <= holding or sharing % holding == 0)
    return layout(math.prod(sizes.values()), **fields)


def stage_gpus(found: Layout, stage: int) -> set[str]:
    return {found.gpu(rank) for rank in range(found.ranks) if found.coordinates(rank).pipeline == stage}


@settings(deadline=None)
@given(layouts())
def test_groups_of_every_dimension_divide_the_ranks_of_a_stage(found: Layout):
    for stage in range(found.pipeline):
        gpus = sorted(stage_gpus(found, stage))
        for name in _PARTITIONS:
            groups = found.groups(name, stage)
            assert sorted(gpu for group in groups for gpu in group) == gpus
            assert len({len(group) for group in groups}) == 1


@settings(deadline=None)
@given(layouts())
def test_sizes_of_groups_are_those_of_the_layout(found: Layout):
    sizes = {
        "tensor": found.tensor,
        "context": found.context,
        "data": found.data * found.context,
        "expert": found.expert,
        "expert_tensor": found.expert_tensor,
        "expert_data": found.expert_data,
        "pipeline": found.pipeline,
        "model": found.tensor * found.pipeline,
    }
    assert {name: len(found.groups(name, 0)[0]) for name in sizes} == sizes


@settings(deadline=None)
@given(layouts())
def test_pipeline_groups_divide_all_ranks_and_hold_one_of_each_stage(found: Layout):
    groups = found.groups("pipeline", 0)
    assert sorted(gpu for group in groups for gpu in group) == sorted(map(found.gpu, range(found.ranks)))
    for stage in range(found.pipeline):
        gpus = stage_gpus(found, stage)
        assert all(len(gpus.intersection(group)) == 1 for group in groups)


@settings(deadline=None)
@given(layouts())
def test_a_rank_is_found_by_its_coordinates(found: Layout):
    places = [found.coordinates(rank) for rank in range(found.ranks)]
    assert [found.rank(place) for place in places] == list(range(found.ranks))
    assert len(set(places)) == found.ranks


@settings(deadline=None)
@given(layouts())
def test_lanes_divide_a_stage_and_contain_the_groups_that_block(found: Layout):
    blocking = ["tensor", "context", "expert", "expert_tensor"]
    if found.zero == 3:
        blocking += ["shard", "expert_shard"]
    for stage in range(found.pipeline):
        lanes = [found.lane_ranks(stage, replica) for replica in range(found.lanes_per_stage)]
        assert sorted(found.gpu(rank) for lane in lanes for rank in lane) == sorted(stage_gpus(found, stage))
        for replica, lane in enumerate(lanes):
            gpus = {found.gpu(rank) for rank in lane}
            for name in blocking:
                groups = found.lane_groups(name, stage, replica)
                assert {gpu for group in groups for gpu in group} == gpus
    assert found.lanes_per_stage * found.replicas_per_lane == found.data


@settings(deadline=None)
@given(layouts())
def test_what_a_lane_sends_goes_to_the_same_place_in_the_next_stage(found: Layout):
    rank_of = {found.gpu(rank): rank for rank in range(found.ranks)}
    for replica in range(found.lanes_per_stage if found.pipeline > 1 else 0):
        for source, target in found.exchange(0, 1, replica):
            place = found.coordinates(rank_of[source])
            assert found.coordinates(rank_of[target]) == place._replace(pipeline=1)


def test_groups_of_sixteen_gpus_are_those_that_megatron_documents():
    """Megatron-LM, `initialize_model_parallel`: 16 GPUs, tensor 2, pipeline 4."""
    found = layout(16, tensor=2, pipeline=4)
    stages = range(4)
    assert [pair for stage in stages for pair in ranks(found.groups("data", stage))] == [
        [0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9, 11], [12, 14], [13, 15],
    ]  # fmt: skip
    assert [pair for stage in stages for pair in ranks(found.groups("tensor", stage))] == [
        [0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11], [12, 13], [14, 15],
    ]  # fmt: skip
    assert ranks(found.groups("pipeline", 0)) == [
        [0, 4, 8, 12],
        [1, 5, 9, 13],
        [2, 6, 10, 14],
        [3, 7, 11, 15],
    ]


def test_context_groups_are_those_that_megatron_documents():
    """Megatron-LM, `initialize_model_parallel`: 8 GPUs, tensor 4, context 2."""
    assert ranks(layout(8, tensor=4, context=2).groups("context", 0)) == [[0, 4], [1, 5], [2, 6], [3, 7]]


def test_ranks_with_the_same_parameters_are_those_of_all_contexts_and_replicas():
    found = layout(16, tensor=2, context=2, pipeline=2)
    assert ranks(found.groups("data", 0)) == [[0, 2, 4, 6], [1, 3, 5, 7]]


def test_expert_groups_take_ranks_of_data_beyond_tensor():
    """Megatron-LM with tensor 2, expert 2, 8 GPUs: experts are divided over neighbouring tensor groups."""
    found = layout(8, tensor=2, expert=2)
    assert ranks(found.groups("expert", 0)) == [[0, 2], [1, 3], [4, 6], [5, 7]]
    assert ranks(found.groups("expert_tensor", 0)) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert ranks(found.groups("expert_data", 0)) == [[0, 4], [1, 5], [2, 6], [3, 7]]


def test_experts_that_are_not_divided_again_spread_over_the_tensor_group():
    found = layout(8, tensor=4, expert=8, expert_tensor=1)
    assert ranks(found.groups("expert", 0)) == [list(range(8))]
    assert (found.expert_data, found.lanes_per_stage, found.replicas_per_lane) == (1, 1, 2)


def test_replicas_that_share_experts_are_one_lane():
    found = layout(16, tensor=2, expert=4)
    assert (found.lanes_per_stage, found.replicas_per_lane) == (2, 4)
    assert found.lane_ranks(0, 1) == tuple(range(8, 16))


def test_replicas_without_anything_in_common_are_lanes_of_their_own():
    found = layout(16, tensor=2, pipeline=2)
    assert (found.lanes_per_stage, found.replicas_per_lane) == (4, 1)
    assert found.exchange(0, 1, 3) == (("6", "14"), ("7", "15"))


def test_hybrid_shards_are_neighbouring_replicas():
    found = layout(16, tensor=2, zero=3, shard=4)
    assert ranks(found.groups("shard", 0)) == [[0, 2, 4, 6], [1, 3, 5, 7], [8, 10, 12, 14], [9, 11, 13, 15]]
    assert ranks(found.groups("replica_shard", 0))[0] == [0, 8]
    assert (found.lanes_per_stage, found.zero_ranks) == (2, 4)


def test_context_groups_divide_what_zero_divides():
    assert layout(16, context=2, zero=1).zero_ranks == 16
    assert layout(16, context=2).zero_ranks == 1


def test_experts_are_divided_by_zero_over_the_ranks_that_hold_them():
    found = layout(16, tensor=2, expert=2, zero=1)
    assert (found.zero_ranks, found.expert_zero_ranks) == (8, 4)


@pytest.mark.parametrize(
    ("order", "tensor", "pipeline"),
    [
        (("tensor", "context", "data", "pipeline"), [0, 1], [0, 4]),
        (("pipeline", "context", "data", "tensor"), [0, 4], [0, 1]),
        (("tensor", "pipeline", "context", "data"), [0, 1], [0, 2]),
    ],
)
def test_the_order_decides_which_ranks_are_neighbours(
    order: tuple[str, ...], tensor: list[int], pipeline: list[int]
):
    found = layout(8, tensor=2, pipeline=2, order=order)
    assert ranks(found.groups("tensor", 0))[0] == tensor
    assert ranks(found.groups("pipeline", 0))[0] == pipeline


def test_a_mapping_decides_where_ranks_run():
    found = layout(4, tensor=2, mapping=(3, 2, 1, 0))
    assert found.groups("tensor", 0) == (("3", "2"), ("1", "0"))
    assert found.gpu(found.rank(Coordinates(tensor=1, context=0, data=0, pipeline=0))) == "2"


def test_tied_embeddings_are_on_the_first_and_the_last_stage():
    found = layout(8, tensor=2, pipeline=4)
    assert ranks(found.groups("embedding", 0)) == [[0, 6], [1, 7]] == ranks(found.groups("embedding", 3))
    assert found.groups("embedding", 1) == ()


@pytest.mark.parametrize(
    ("gpus", "fields", "message"),
    [
        (64, {"tensor": 3}, "parallelism.tensor: 3 does not divide 64 GPUs; the nearest that divide: 2 or 4"),
        (
            64,
            {"tensor": 8, "pipeline": 3},
            "parallelism.pipeline: 3 does not divide the 8 that other dimensions leave of 64 GPUs; "
            "the nearest that divide: 2 or 4",
        ),
        (
            8,
            {"data": 4},
            "parallelism.data: tensor 1 × context 1 × pipeline 1 × data 4 = 4 ranks, the job has 8",
        ),
        (8, {"tensor": 2, "expert": 3}, "parallelism.expert: 3 groups of 2 GPUs do not divide the 8 ranks"),
        (8, {"expert_tensor": 16}, "parallelism.expert_tensor: 16 does not divide the 8 ranks of a stage"),
        (8, {"shard": 2}, "parallelism.shard: nothing is divided among replicas with 'zero: 0'"),
        (8, {"shard": 3, "zero": 3}, "parallelism.shard: 3 replicas do not divide the 8 there are; "),
        (
            12,
            {"shard": 6, "zero": 3, "expert": 4},
            "parallelism.shard: the 6 ranks of 6 replicas are no multiple",
        ),
        (4, {"mapping": (0, 1, 2)}, "parallelism.mapping: has 3 entries for 4 ranks"),
        (4, {"mapping": (0, 1, 2, 2)}, "parallelism.mapping: leaves GPU 3 out"),
    ],
)
def test_numbers_that_do_not_divide_are_refused(gpus: int, fields: dict[str, Any], message: str):
    with pytest.raises(InputError) as error:
        layout(gpus, **fields)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("model", "gpus", "fields", "message"),
    [
        (
            "gpt2-xl",
            6,
            {"tensor": 6},
            "parallelism.tensor: 6 does not divide 25 heads of gpt2-xl; the nearest that divide: 5 or 25",
        ),
        ("llama-2-7b", 8, {"expert": 8}, "parallelism.expert: llama-2-7b has no experts; leave 'expert' out"),
        (
            "mixtral-8x7b",
            16,
            {"expert": 16},
            "parallelism.expert: 16 does not divide 8 experts of mixtral-8x7b",
        ),
        ("resnet-50", 8, {"tensor": 2}, "parallelism.tensor: divides layers of transformers"),
        (
            "llama-2-7b",
            8,
            {"context": 4, "sequence": 2044},
            "sequence: 2044 tokens do not divide in 8 parts; the nearest that divide: 2040 or 2048",
        ),
        (
            "vit-l-16",
            2,
            {"tensor": 2},
            "sequence: 197 tokens do not divide in 2 parts; the nearest that divide: 196 or 198; or set "
            "'parallelism.sequence' to false",
        ),
    ],
)
def test_a_layout_that_does_not_divide_the_model_is_refused(
    model: str, gpus: int, fields: dict[str, Any], message: str
):
    sequence = fields.pop("sequence", None)
    with pytest.raises(InputError) as error:
        check_model(layout(gpus, **fields), catalog.model(model), sequence=sequence)
    assert message in str(error.value)


def test_few_key_value_heads_are_repeated_over_a_larger_tensor_group():
    check_model(layout(16, tensor=16), catalog.model("llama-2-70b"))


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(1, 600))
def test_nearest_divisors_divide_and_nothing_between_them_does(number: int, value: int):
    found = nearest_divisors(number, value)
    assert all(number % divisor == 0 and divisor != value for divisor in found)
    between = range(min(found, default=value), max(found, default=value) + 1)
    assert {d for d in between if number % d == 0} <= {*found, value}


def test_sixteen_thousand_ranks_have_groups_of_every_dimension():
    found = layout(16_384, tensor=8, pipeline=16, zero=1)
    assert len(found.groups("tensor", 15)) == 128
    assert [len(group) for group in found.groups("data", 3)] == [128] * 8
    assert found.coordinates(16_383) == Coordinates(tensor=7, context=0, data=127, pipeline=15)


def test_a_global_batch_is_divided_by_replicas_and_micro_batches():
    fields = {"kind": "training", "name": "job", "model": "gpt3-13b", "gpus": 8, "micro_batch": 4, "steps": 1}
    spec = TrainingSpec.model_validate(fields)
    assert micro_batches(spec, data=8) == 1
    assert micro_batches(spec.model_copy(update={"global_batch": 64}), data=8) == 2
    with pytest.raises(InputError, match=r"global_batch: 50 is not a multiple .* = 4 × 8 = 32; .* 32 or 64"):
        micro_batches(spec.model_copy(update={"global_batch": 50}), data=8)
