"""What is said about a layout beside the best."""

from __future__ import annotations

import pytest
from plan_answers import made_up

from clustersim.study.plan.layouts import Assessed, Candidate, Simulated
from clustersim.study.plan.reasons import PARTS, reason
from clustersim.workloads.training.ledger import CATEGORIES


def candidate(number: int, parts: dict[str, float], **fields: object) -> Candidate:
    seconds = {name: parts.get(name, 0.0) for name in PARTS}
    return Candidate(
        number=number,
        spec=made_up(number, **{"gpus": 8, "global_batch": 8, **fields}),
        assessed=Assessed(fate="fits"),
        simulated=Simulated(iteration_s=sum(seconds.values()), metrics=seconds),
    )


BEST = candidate(0, {"compute_s": 9.0, "bubble_s": 0.6, "exposed_data_s": 0.4})


def test_the_best_is_told_with_what_it_still_loses() -> None:
    assert reason(BEST, BEST) == "best: kernels 90%, then bubble 6.0%"


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"compute_s": 9.0, "bubble_s": 2.6, "exposed_data_s": 0.4}, "bubble +20.0%"),
        ({"compute_s": 8.5, "exposed_tensor_s": 3.0}, "exposed TP +30.0%; bubble -6.0%"),
        ({"compute_s": 9.0, "bubble_s": 0.62, "exposed_data_s": 0.4}, "as the best, within 0.5 %"),
    ],
)
def test_the_largest_difference_is_told_and_the_largest_gain(parts: dict[str, float], said: str) -> None:
    assert reason(candidate(1, parts), BEST) == said


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"recompute": "full"}, " (recomputes more)"),
        ({"parallelism": {"tensor": 2}}, " (smaller products)"),
        ({}, ""),
    ],
)
def test_kernels_that_take_longer_are_told_with_why(fields: dict[str, object], why: str) -> None:
    slower = candidate(1, {"compute_s": 12.0, "bubble_s": 0.6, "exposed_data_s": 0.4}, **fields)
    assert reason(slower, BEST) == f"kernels +30.0%{why}"


def test_every_use_of_a_lane_s_time_has_words() -> None:
    assert set(PARTS) == set(CATEGORIES)
