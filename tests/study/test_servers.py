"""Processes that answer question after question."""

from __future__ import annotations

import os
import time

import executor_calls
import pytest

from clustersim.study.executor import WorkerError
from clustersim.study.servers import Servers


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_process_is_made_once_and_answers_many_questions(jobs: int) -> None:
    with Servers(executor_calls.Counting, 10, jobs=jobs) as servers:
        answers = dict(servers.ask([1, 2, 3, 4, 5, 6]))
        answers |= {6 + place: answer for place, answer in servers.ask([7, 8])}
    assert [answers[place][0] for place in range(8)] == [11, 12, 13, 14, 15, 16, 17, 18]
    assert len({process for _, process, _ in answers.values()}) <= jobs
    assert max(asked for _, _, asked in answers.values()) >= 8 / jobs
    if jobs > 1:
        assert os.getpid() not in {process for _, process, _ in answers.values()}


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_exception_is_raised_where_it_was_asked(jobs: int) -> None:
    servers = Servers(executor_calls.Counting, 10, jobs=jobs)
    with servers, pytest.raises((ValueError, RuntimeError), match="no zero"):
        list(servers.ask([0]))


def test_a_process_that_dies_is_told() -> None:
    servers = Servers(executor_calls.Counting, 10, jobs=2)
    with servers, pytest.raises(WorkerError, match="ended without an answer"):
        list(servers.ask([-1, 2]))


def test_leaving_early_waits_for_nobody() -> None:
    begun = time.monotonic()
    with Servers(executor_calls.Counting, 10, jobs=2) as servers:
        answers = servers.ask([1, 1000])
        next(answers)
        answers.close()
    assert time.monotonic() - begun < 20.0
