"""The interpreter gives what plain loops over tasks and ranks give, with one event per meeting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ranking_jobs import Twin, cluster, interpret, job, run, step_work

from clustersim.workloads.ranking.training.causes import Moment
from clustersim.workloads.ranking.training.compile import compile_step
from clustersim.workloads.ranking.training.critical_path import CriticalPath
from clustersim.workloads.ranking.training.habits import Habits
from clustersim.workloads.ranking.training.ledger import CATEGORIES, account
from clustersim.workloads.ranking.training.program import COMPUTE_STREAM, Kernels
from clustersim.workloads.span import critical_shares

HABITS = st.builds(
    Habits,
    step_s=st.floats(0.0, 5.0),
    kernel_launch_s=st.floats(0.0, 1.0),
    graph_launch_s=st.one_of(st.none(), st.floats(0.0, 1.0)),
    exchange_s=st.floats(0.0, 1.0),
    table_s=st.floats(0.0, 0.5),
    input_ahead=st.integers(1, 3),
    index_ahead=st.booleans(),
    host_waits=st.booleans(),
    forward_exchange=st.booleans(),
    backward_exchange=st.booleans(),
    all_reduce=st.booleans(),
    bucket_bytes=st.sampled_from([0.0, 5e6, 1e9]),
    one_stream=st.booleans(),
    bottom_first=st.booleans(),
    run_ahead=st.integers(1, 3),
)


def random_job(seed, ranks, habits):
    """A program of kernels of random length, and random times of its collectives."""
    random = np.random.default_rng(seed)
    work = step_work(
        ranks, lambda _: random.uniform(0.0, 4.0, ranks), local_tables=random.integers(1, 9, ranks)
    )
    program = compile_step(work, habits)
    times = {
        task.key: float(random.uniform(0.0, 5.0))
        for task in program.tasks
        if not isinstance(task.work, Kernels)
    }
    return program, times


@settings(max_examples=40, deadline=None)
@given(habits=HABITS, seed=st.integers(0, 2**31), ranks=st.integers(1, 4))
def test_every_step_ends_on_every_rank_when_plain_loops_say(habits, seed, ranks):
    steps = 4
    program, times = random_job(seed, ranks, habits)
    ends, _, _ = interpret(program, times, steps=steps)
    twin = Twin(program, lambda key, _: times[key], steps=steps)
    expected = [[twin.step_end(step, rank) for rank in range(ranks)] for step in range(steps)]
    np.testing.assert_allclose(ends, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(habits=HABITS, seed=st.integers(0, 2**31), ranks=st.integers(1, 4))
def test_seconds_of_every_rank_and_of_the_critical_path_add_up_to_the_step(habits, seed, ranks):
    program, times = random_job(seed, ranks, habits)
    ends, told, _ = interpret(program, times, steps=3)
    for step in (1, 2):
        last = [entry for entry in told[step] if entry.task.stream == COMPUTE_STREAM][-1]
        slowest = int(last.end_s.argmax())
        seconds = account(told[step], ends[step - 1])
        total_s = np.sum([seconds[name] for name in CATEGORIES], axis=0)
        np.testing.assert_allclose(total_s, ends[step] - ends[step - 1], atol=1e-9)
        assert all((seconds[name] >= 0.0).all() for name in CATEGORIES)
        since_s = float(ends[step - 1].max())
        whole = CriticalPath()
        whole.reach(Moment(last, slowest))
        path = critical_shares(whole.last, since_s=since_s)
        on_path_s = sum(sum(shares.values()) for shares in path)
        assert on_path_s == pytest.approx(float(ends[step].max()) - since_s, abs=1e-9)


def test_events_grow_with_meetings_and_not_with_ranks():
    habits = Habits(kernel_launch_s=0.01, bucket_bytes=1e9)
    counts = []
    for ranks in (2, 64):
        program, times = random_job(1, ranks, habits)
        meetings = len(times)
        _, _, env = interpret(program, times, steps=10)
        counts.append(next(env._eid))
    assert counts[1] <= counts[0] + 10
    # Of each meeting: its start, its time and its end; of each step: its end.
    assert counts[0] <= 3 * meetings * (10 + 2) + 2 * 10 + 2


def test_a_job_on_the_fabric_takes_what_plain_loops_say_of_its_collectives():
    spec = job(batch=512, steps=4, host={"spread": 0.05})
    made, world = run(spec, cluster())
    program = made.job.program
    rows = {}
    for activity in world.trace.rows:
        if activity.kind == "collective" or activity.label == "copy":
            rows.setdefault(activity.label, []).append(activity.end_s - activity.start_s)
    pace = made._pace(world)
    slowed = tuple(
        replace(task, launch_s=pace.host(task.launch_s, place, 0)) for place, task in enumerate(program.tasks)
    )
    twin = Twin(replace(program, tasks=slowed), lambda key, batch: rows[key][batch], steps=5)
    table = made.outcome().tables["iterations"]
    ends = table["start_s"] + table["duration_s"]
    expected = [max(twin.step_end(step, rank) for rank in range(8)) for step in range(1, 5)]
    np.testing.assert_allclose(ends, expected, rtol=1e-9)


def test_a_run_is_the_same_to_the_bit_with_and_without_a_trace():
    spec = job(batch=512, host={"jitter": 0.2}, kernel_jitter=0.1)
    with_trace, _ = run(spec)
    without, _ = run(spec, keep_trace=False)
    assert with_trace.outcome().metrics == without.outcome().metrics
    assert with_trace.outcome().attribution == without.outcome().attribution
