"""Orders of passes on pipeline stages: they can run, their bubbles are the published ones."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.workloads.training.schedules import (
    SCHEDULES,
    InFlight,
    Order,
    Pass,
    check_schedule,
    execute,
    in_flight,
    makespan,
    orders,
    stash,
)

STAGES = st.integers(1, 8)
SECONDS = st.floats(0.1, 10.0)


@st.composite
def pipelines(draw: st.DrawFn) -> tuple[str, int, int, int]:
    """Draw a schedule with stages, micro-batches and chunks that it takes."""
    name, stages = draw(st.sampled_from(sorted(SCHEDULES))), draw(STAGES)
    if name == "interleaved":
        return name, stages, stages * draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return name, stages, draw(st.integers(1, 24)), 1


def shape(name: str, stages: int, micro_batches: int, chunks: int) -> tuple[Order, ...]:
    return orders(name, stages=stages, micro_batches=micro_batches, chunks=chunks)


@settings(deadline=None)
@given(pipelines())
def test_every_schedule_has_every_pass_once_and_ends(pipeline: tuple[str, int, int, int]):
    name, _, micro_batches, chunks = pipeline
    check_schedule(shape(*pipeline), micro_batches=micro_batches, chunks=chunks)
    assert name in SCHEDULES


@settings(deadline=None)
@given(pipelines(), SECONDS, SECONDS, SECONDS, st.floats(0.0, 2.0))
def test_a_stage_never_does_two_things_and_no_pass_precedes_its_input(
    pipeline: tuple[str, int, int, int], forward_s: float, backward_s: float, weight_s: float, p2p_s: float
):
    _, stages, _, chunks = pipeline
    length = {"forward": forward_s, "backward": backward_s, "weight": weight_s}
    timed = execute(shape(*pipeline), seconds=lambda _, item: length[item.kind], p2p_s=p2p_s)
    ends = {(item, stage): end_s for stage, passes in enumerate(timed) for item, _, end_s in passes}
    for stage, passes in enumerate(timed):
        assert all(before.end_s <= after.start_s for before, after in itertools.pairwise(passes))
        for item, start_s, _ in passes:
            place = item.chunk * stages + stage + {"forward": -1, "backward": 1}.get(item.kind, 0)
            if 0 <= place < stages * chunks and item.kind != "weight":
                source = (item._replace(chunk=place // stages), place % stages)
                assert start_s >= ends[source] + (p2p_s if place % stages != stage else 0.0)
            if item.kind == "backward":
                assert start_s >= ends[item._replace(kind="forward"), stage]


@settings(deadline=None)
@given(st.sampled_from(["gpipe", "1f1b"]), STAGES, st.integers(1, 24), SECONDS, SECONDS)
def test_the_bubble_of_gpipe_and_1f1b_is_stages_less_one_over_micro_batches(
    name: str, stages: int, micro_batches: int, forward_s: float, backward_s: float
):
    busy_s = micro_batches * (forward_s + backward_s)
    found = makespan(shape(name, stages, micro_batches, 1), forward_s=forward_s, backward_s=backward_s)
    assert found / busy_s - 1 == pytest.approx((stages - 1) / micro_batches)


@settings(deadline=None)
@given(STAGES, st.integers(1, 4), st.integers(1, 4), SECONDS, SECONDS)
def test_chunks_divide_the_bubble_of_the_interleaved_schedule(
    stages: int, groups: int, chunks: int, forward_s: float, backward_s: float
):
    micro_batches = stages * groups
    pipeline = shape("interleaved", stages, micro_batches, chunks)
    found = makespan(pipeline, forward_s=forward_s / chunks, backward_s=backward_s / chunks)
    busy_s = micro_batches * (forward_s + backward_s)
    assert found / busy_s - 1 == pytest.approx((stages - 1) / (chunks * micro_batches))


@settings(deadline=None)
@given(STAGES, st.integers(0, 20), SECONDS)
def test_the_bubble_of_zero_bubble_is_that_of_its_paper(stages: int, more: int, pass_s: float):
    micro_batches = stages + more
    pipeline = shape("zero-bubble", stages, micro_batches, 1)
    found = makespan(pipeline, forward_s=pass_s, backward_s=pass_s, weight_s=pass_s)
    assert found == pytest.approx(pass_s * (3 * micro_batches + stages - 1))


@settings(deadline=None)
@given(st.integers(2, 8), st.integers(1, 20), SECONDS, SECONDS, SECONDS)
def test_zero_bubble_never_takes_longer_than_1f1b(
    stages: int, micro_batches: int, forward_s: float, backward_s: float, weight_s: float
):
    split = makespan(
        shape("zero-bubble", stages, micro_batches, 1),
        forward_s=forward_s,
        backward_s=backward_s,
        weight_s=weight_s,
    )
    whole = makespan(
        shape("1f1b", stages, micro_batches, 1), forward_s=forward_s, backward_s=backward_s + weight_s
    )
    assert split <= whole * (1 + 1e-12)


@settings(deadline=None)
@given(STAGES, st.integers(1, 24))
def test_every_stage_keeps_as_many_micro_batches_as_published(stages: int, micro_batches: int):
    assert stash(shape("gpipe", stages, micro_batches, 1)) == (micro_batches,) * stages
    assert stash(shape("1f1b", stages, micro_batches, 1)) == tuple(
        min(micro_batches, stages - stage) for stage in range(stages)
    )
    assert stash(shape("zero-bubble", stages, micro_batches, 1)) == (min(stages, micro_batches),) * stages


@settings(deadline=None)
@given(STAGES, st.integers(2, 4), st.integers(2, 4))
def test_interleaving_keeps_the_more_the_fewer_chunks(stages: int, groups: int, chunks: int):
    """First stage: p·v + p - 1 chunks in flight, (1 + (p - 1)/(p·v)) times 1F1B (Korthikanti et al.)."""
    found = stash(shape("interleaved", stages, stages * groups, chunks))
    assert found[0] == stages * chunks + stages - 1


def test_the_interleaved_order_is_that_of_megatron():
    """Megatron-LM's table of passes for 2 stages, 4 micro-batches, 2 chunks: first stage."""
    found = [
        (item.kind[0], item.micro_batch, item.chunk)
        for item in orders("interleaved", stages=2, micro_batches=4, chunks=2)[0]
    ]
    warm_up = [("f", 0, 0), ("f", 1, 0), ("f", 0, 1), ("f", 1, 1)]
    steady = [
        ("f", 2, 0), ("b", 0, 1), ("f", 3, 0), ("b", 1, 1),
        ("f", 2, 1), ("b", 0, 0), ("f", 3, 1), ("b", 1, 0),
    ]  # fmt: skip
    assert found == [*warm_up, *steady, ("b", 2, 1), ("b", 3, 1), ("b", 2, 0), ("b", 3, 0)]


def test_transfers_between_stages_lengthen_the_first_and_the_last_pass():
    found = makespan(shape("gpipe", 3, 5, 1), forward_s=1.0, backward_s=2.0, p2p_s=0.25)
    assert found == 3 * (5 + 2) + 4 * 0.25


def test_what_is_kept_for_weight_passes_is_told_apart():
    found = in_flight(orders("zero-bubble", stages=2, micro_batches=4)[1], chunks=1)
    assert found == {InFlight((1,), (0,)), InFlight((1,), (1,))}


def test_a_schedule_that_waits_for_itself_is_refused():
    backward_first = [Pass("backward", 0), Pass("forward", 0)]
    with pytest.raises(
        InputError, match="stage 0 has backward of micro-batch 0, chunk 0 next, which waits for"
    ):
        check_schedule([backward_first], micro_batches=1)


def test_missing_and_repeated_passes_are_named():
    order = [Pass("forward", 0), Pass("forward", 0)]
    with pytest.raises(InputError) as error:
        check_schedule([order], micro_batches=1)
    assert str(error.value).splitlines() == [
        "the schedule is no iteration: stage 0 has 0 times backward of micro-batch 0, chunk 0, not 1",
        "the schedule is no iteration: stage 0 has 2 times forward of micro-batch 0, chunk 0, not 1",
    ]


def test_interleaving_needs_whole_groups_of_micro_batches():
    with pytest.raises(
        InputError, match=r"10 micro-batches .* no multiple of 4; the nearest that are: 8 or 12"
    ):
        orders("interleaved", stages=4, micro_batches=10, chunks=2)


@pytest.mark.parametrize("name", ["gpipe", "1f1b", "zero-bubble"])
def test_schedules_without_interleaving_refuse_chunks(name: str):
    with pytest.raises(
        InputError, match=rf"parallelism.virtual_stages: '{name}' has one chunk per stage, not 2"
    ):
        orders(name, stages=4, micro_batches=8, chunks=2)


def test_an_unknown_schedule_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="Did you mean 'gpipe'"):
        orders("gpip", stages=2, micro_batches=2)


def test_stages_that_are_slower_hold_up_the_others():
    timed = execute(shape("1f1b", 2, 3, 1), seconds=lambda stage, item: 1.0 + stage)
    assert math.isclose(max(passes[-1].end_s for passes in timed), 1.0 + 3 * 4.0 + 1.0)


def test_stages_begin_with_as_many_forward_passes_as_in_megatron():
    """2(p - s - 1) + (v - 1)·p and one more, which the first backward pass follows."""
    found = [
        next(number for number, item in enumerate(order) if item.kind == "backward")
        for order in orders("interleaved", stages=4, micro_batches=8, chunks=3)
    ]
    assert found == [2 * (4 - stage - 1) + 2 * 4 + 1 for stage in range(4)]
