"""What a plan search simulates and what it leaves out, on made-up layouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_answers import MadeUp

from clustersim.errors import InputError
from clustersim.spec.scenario import Scenario
from clustersim.study.plan.journal import RESULTS, Journal
from clustersim.study.plan.layouts import Candidate
from clustersim.study.plan.pareto import dominates, objectives, pareto_front
from clustersim.study.plan.search import Found, Search

CASES = Path(__file__).parents[1] / "cases"
SCENARIO = Scenario.from_dict(
    {
        "name": "made-up",
        "cluster": {"topology": {"kind": "star", "nodes": 1, "node": "dgx-a100"}},
        "workloads": [
            {"kind": "training", "name": "a", "model": "bert-large", "gpus": 1, "micro_batch": 1, "steps": 1}
        ],
    }
)
ROWS = st.lists(
    st.tuples(*[st.integers(1, 9).map(float)] * 2, *[st.integers(1, 4).map(float)] * 2).map(
        lambda row: (max(row[:2]), min(row[:2]), *row[2:])
    ),
    min_size=1,
    max_size=60,
)


def search(answers: MadeUp, *, top: int = 3, within: float = 2.0, out: Path | None = None) -> Found:
    journal = Journal(out, SCENARIO, resume=True)
    try:
        return Search(answers.ladders, top=top, within=within, journal=journal).run(answers)
    finally:
        journal.close()


def times(candidates: Sequence[Candidate]) -> list[float]:
    return [candidate.iteration_s for candidate in candidates]


def front(found: Found, within: float) -> set[tuple[float, float, float]]:
    limit_s = within * found.simulated[0].iteration_s
    return {objectives(each) for each in pareto_front(found.simulated) if each.iteration_s <= limit_s}


@settings(deadline=None)
@given(rows=ROWS, top=st.integers(1, 5), within=st.sampled_from([1.0, 1.5, 4.0]))
def test_the_fastest_and_the_pareto_front_are_those_of_simulating_everything(
    rows: list[tuple[float, float, float, float]], top: int, within: float
) -> None:
    found = search(MadeUp(rows), top=top, within=within)
    whole = search(MadeUp(rows), top=len(rows) + 1, within=within)
    assert not whole.pruned
    assert times(found.simulated[:top]) == times(whole.simulated[:top])
    assert front(found, within) == front(whole, within)


@settings(deadline=None)
@given(rows=ROWS)
def test_every_layout_is_counted_once(rows: list[tuple[float, float, float, float]]) -> None:
    found = search(MadeUp(rows, memory_bytes=3.0))
    groups = (found.simulated, found.pruned, found.unfit, found.failed)
    assert sorted(each.number for group in groups for each in group) == list(range(len(rows)))
    assert found.enumerated == len(rows)
    assert all(each.assessed.memory_bytes > 3.0 for each in found.unfit)


@settings(deadline=None)
@given(rows=ROWS)
def test_the_answer_does_not_depend_on_who_answers_first(
    rows: list[tuple[float, float, float, float]],
) -> None:
    assert search(MadeUp(rows)) == search(MadeUp(rows, backwards=True))


def test_best_bounds_come_first_and_what_they_rule_out_is_not_simulated() -> None:
    slow = [(9.0, 8.0, 1.0, 1.0)] * 40
    answers = MadeUp([*slow, (2.0, 1.0, 1.0, 1.0)])
    found = search(answers, top=1)
    assert answers.simulated[0] == 40
    assert len(answers.simulated) == 16  # one round
    assert len(found.pruned) == 25


def test_what_needs_less_memory_is_simulated_though_it_is_slower() -> None:
    fast = [(2.0, 1.0, 5.0, 1.0)] * 20
    found = search(MadeUp([*fast, (3.0, 2.5, 4.0, 1.0), (3.0, 2.5, 6.0, 1.0)]), top=1)
    assert [each.number for each in found.pruned] == [21]


def test_the_front_is_what_no_other_layout_dominates() -> None:
    rows = [(1.0, 1.0, 3.0, 3.0), (2.0, 1.0, 2.0, 3.0), (2.0, 1.0, 2.0, 3.0), (3.0, 1.0, 3.0, 3.0)]
    found = search(MadeUp(rows))
    expected = {
        own.number
        for own in found.simulated
        if not any(dominates(objectives(other), objectives(own)) for other in found.simulated)
    }
    assert {each.number for each in pareto_front(found.simulated)} == expected == {0, 1, 2}


# what is kept -------------------------------------------------------------------------

SIX: list[tuple[float, float, float, float]] = [(float(n), 1.0, 1.0, 1.0) for n in range(1, 7)]


def test_a_search_that_was_stopped_goes_on_where_it_stopped(tmp_path: Path) -> None:
    stopped = MadeUp(SIX, fail_after=4)
    with pytest.raises(KeyboardInterrupt):
        search(stopped, out=tmp_path)
    again = MadeUp(SIX)
    found = search(again, out=tmp_path)
    assert sorted(stopped.simulated + again.simulated) == list(range(6))
    assert found == search(MadeUp(SIX))


def test_a_line_that_was_cut_off_is_simulated_again(tmp_path: Path) -> None:
    search(MadeUp(SIX), out=tmp_path)
    path = tmp_path / RESULTS
    path.write_text(path.read_text()[:-20])
    again = MadeUp(SIX)
    assert search(again, out=tmp_path) == search(MadeUp(SIX))
    assert len(again.simulated) == 1
    assert not search_nothing(tmp_path).simulated


def search_nothing(folder: Path) -> MadeUp:
    answers = MadeUp(SIX)
    search(answers, out=folder)
    return answers


@pytest.mark.parametrize("changes", [{"cluster.fabric.bandwidth": "100 Gbit/s"}, {"workloads.a.gpus": 2}])
def test_results_of_another_job_or_cluster_do_not_count(tmp_path: Path, changes: dict[str, Any]) -> None:
    search(MadeUp(SIX), out=tmp_path)
    journal = Journal(tmp_path, SCENARIO.with_(**changes), resume=True)
    assert all(journal.get(ladder[0], whole=False) is None for ladder in MadeUp(SIX).ladders)
    journal.close()


def test_earlier_results_are_never_mixed_in_unasked(tmp_path: Path) -> None:
    search(MadeUp(SIX), out=tmp_path)
    with pytest.raises(InputError, match=r"holds results of an earlier search; go on with it \(--resume\)"):
        Journal(tmp_path, SCENARIO, resume=False)
