"""A step is compiled into the tasks that the framework launches, in its order."""

from __future__ import annotations

import numpy as np
import pytest
from ranking_jobs import interpret, step_work

from clustersim.workloads.ranking.training.compile import compile_step
from clustersim.workloads.ranking.training.habits import Habits
from clustersim.workloads.ranking.training.program import Collective, Kernels


def program(ranks=4, seconds=1.0, work=None, **habits):
    return compile_step(step_work(ranks, lambda _: seconds, **(work or {})), Habits(**habits))


def keys(made):
    return [task.key for task in made.tasks]


def test_embeddings_travel_beside_the_bottom_mlp_or_before_what_needs_them():
    beside = keys(program(forward_exchange=True))
    assert beside.index("lookup") < beside.index("pooled forward") < beside.index("forward bottom")
    behind = keys(program(forward_exchange=False))
    assert behind.index("forward bottom") < behind.index("lookup")


def test_gradients_of_embeddings_travel_beside_the_bottom_mlp_or_hold_it_up():
    beside = keys(program(backward_exchange=True))
    assert beside.index("backward bottom") < beside.index("update")
    behind = keys(program(backward_exchange=False))
    assert behind.index("update") < behind.index("backward bottom")


def test_indices_of_the_next_batch_are_exchanged_in_this_step_where_that_is_asked_for():
    assert program(index_ahead=True).task("index").ahead == 1
    in_step = program(index_ahead=False)
    assert in_step.task("index").ahead == 0
    assert keys(in_step).index("index") < keys(in_step).index("lookup")


def test_the_host_waits_for_sizes_where_ranks_exchange_and_for_kernels_where_they_do_not():
    waits = [task.key for task in program(host_waits=True).tasks if task.host_waits]
    assert waits == ["sizes"]
    alone = program(host_waits=True, work={"index_bytes": None})
    assert [task.key for task in alone.tasks if task.host_waits] == ["backward bottom"]
    assert not any(task.host_waits for task in program(host_waits=False).tasks)


@pytest.mark.parametrize(("bucket_bytes", "sizes"), [(0.0, [1e6, 4e6, 2e6]), (3e6, [5e6, 2e6]), (1e9, [7e6])])
def test_gradients_are_summed_when_a_bucket_is_full_and_the_rest_at_the_end(bucket_bytes, sizes):
    made = program(bucket_bytes=bucket_bytes, all_reduce=True)
    sums = [task for task in made.tasks if task.part == "all_reduce"]
    assert [task.work.size for task in sums] == sizes
    assert made.task("optimizer").after == tuple(task.key for task in sums)


def test_without_overlap_all_gradients_are_summed_at_once():
    sums = [task.work.size for task in program(all_reduce=False).tasks if task.part == "all_reduce"]
    assert sums == [7e6]


def test_gradients_of_replicated_tables_are_summed_after_the_kernel_that_makes_them():
    made = program(work={"gradient_bytes": {"top": 1e6, "tables": 3e6}}, all_reduce=False)
    sums = [(task.work.size, task.after) for task in made.tasks if task.part == "all_reduce"]
    assert sums == [(1e6, ("backward top",)), (3e6, ("update",))]


def test_one_rank_says_nothing_to_anybody():
    made = program(ranks=1, work={"copy_bytes": 0.0})
    assert not any(isinstance(task.work, Collective) for task in made.tasks)


def test_one_process_group_puts_all_collectives_on_one_stream():
    streams = {task.stream for task in program(one_stream=True).tasks if task.part != "input"}
    assert streams == {"host", "compute", "collectives"}
    apart = {task.stream for task in program(one_stream=False).tasks if task.part != "input"}
    assert apart == {"host", "compute", "index", "exchange", "all-reduce"}


def test_two_exchanges_follow_each_other_and_the_interaction_waits_for_the_second():
    matrix = np.ones((4, 4)) - np.eye(4)
    made = program(work={"forward_bytes": (matrix, 2.0 * matrix)})
    assert made.task("pooled forward 2").after == ("pooled forward 1",)
    assert made.task("forward interaction").after == ("pooled forward 2",)


def test_a_graph_is_one_launch_however_many_kernels_it_has():
    eager = program(kernel_launch_s=1.0).task("forward top")
    graph = program(kernel_launch_s=1.0, graph_launch_s=1.5).task("forward top")
    assert eager.launch_s[0] == 8.0
    assert graph.launch_s[0] == 1.5
    assert graph.work.seconds[0] == eager.work.seconds[0]


def times(made, seconds):
    return {task.key: seconds for task in made.tasks if not isinstance(task.work, Kernels)}


def test_a_step_of_short_kernels_takes_what_their_launches_take():
    made = program(seconds=0.1, kernel_launch_s=1.0, host_waits=False, bucket_bytes=1e9)
    ends, _, _ = interpret(made, times(made, 0.01), steps=5)
    launches = sum(float(task.launch_s[0]) for task in made.tasks)
    assert ends[4][0] - ends[3][0] == pytest.approx(launches)


def test_a_step_of_long_kernels_hides_launches_and_what_travels_beside_them():
    made = program(seconds=10.0, kernel_launch_s=0.01, bucket_bytes=1e9)
    ends, _, _ = interpret(made, times(made, 1.0), steps=5)
    # Nine stretches of kernels; the one sum of gradients follows the update, and nothing hides it.
    assert ends[4][0] - ends[3][0] == pytest.approx(9 * 10.0 + 1.0 - 1.0, abs=1.1)


def test_everybody_waits_for_the_rank_that_looks_up_longest():
    def seconds(key):
        return [1.0, 1.0, 1.0, 5.0] if key == "lookup" else 1.0

    even = program()
    skewed = compile_step(step_work(4, seconds), Habits(bucket_bytes=1e9, forward_exchange=True))
    even_ends, _, _ = interpret(even, times(even, 0.5), steps=4)
    skewed_ends, told, _ = interpret(skewed, times(skewed, 0.5), steps=4)
    assert skewed_ends[3].max() - skewed_ends[2].max() >= 4.0 + even_ends[3].max() - even_ends[2].max() - 1.0
    exchange = next(entry for entry in told[2] if entry.task.key == "pooled forward")
    assert exchange.last_rank == 3
