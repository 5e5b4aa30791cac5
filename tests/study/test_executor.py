"""Calls in processes of their own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import executor_calls
import pytest

from clustersim.study.executor import WorkerError, call_all


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_executor_gives_the_same_values(jobs: int) -> None:
    numbers = [0.1, 2.5, 1e300]
    found = dict(call_all(executor_calls.square, numbers, jobs=jobs))
    assert found == {place: value * value for place, value in enumerate(numbers)}


def test_each_call_runs_in_a_fresh_process() -> None:
    ids = {value for _, value in call_all(executor_calls.process_id, [0, 1], jobs=2)}
    assert len(ids) == 2
    assert os.getpid() not in ids


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_call_that_fails_takes_no_other_with_it(jobs: int) -> None:
    found = dict(call_all(executor_calls.square_or_fail, [2.0, -1.0], jobs=jobs))
    assert found[0] == 4.0
    assert isinstance(found[1], ValueError)
    assert str(found[1]) == "no negative numbers, got -1.0"


def test_a_process_that_is_killed_takes_no_other_with_it() -> None:
    found = dict(call_all(executor_calls.die_at_three, [2, 3], jobs=2))
    assert found[0] == 2
    assert isinstance(found[1], WorkerError)


def test_what_a_call_prints_does_not_get_between() -> None:
    assert dict(call_all(executor_calls.print_and_return, [7, 8], jobs=2)) == {0: 7, 1: 8}


def test_an_exception_that_cannot_be_pickled_arrives_as_text() -> None:
    found = dict(call_all(executor_calls.raise_unpicklable, [0, 1], jobs=2))
    assert "cannot be made again" in str(found[0])


def test_leaving_early_ends_the_processes(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("now", "later", "much later")]
    calls = call_all(executor_calls.write_after_a_while, files, jobs=3)
    assert next(calls)[0] == 0
    started = time.monotonic()
    calls.close()
    assert time.monotonic() - started < 2.0
    time.sleep(0.2)
    assert [path.name for path in tmp_path.iterdir()] == ["now"]
