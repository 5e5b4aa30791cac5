"""What the what-if scenarios are said to show."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("what_if", ROOT / "tools" / "what_if.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["what_if"] = module
    spec.loader.exec_module(module)
    return module


what_if = _tool()
CASES = {case.scenario.removeprefix("what-if-"): case for case in what_if.CASES}


def times(name: str, *variants: str) -> list[float]:
    """Seconds of an iteration of the baseline and some variants."""
    case = CASES[name]
    return [row.iteration_s for row in what_if.rows(case, only=(case.baseline, *variants))]


def test_800_gigabit_help_where_pcie_lets_them_through():
    base, faster, old, same = times("800g", *CASES["800g"].variants)
    assert 0.6 < faster / base < 0.9
    assert same == pytest.approx(old, rel=1e-6)


def test_a_large_nvlink_domain_pays_most_for_the_layout_that_needs_it():
    wide, local, rack = times("nvl72", *CASES["nvl72"].variants)
    assert wide / rack > 3
    assert 1.0 < local / rack < 2.0


def test_oversubscription_is_paid_for_by_all_to_alls_and_not_by_rings():
    moe, half, quarter, dense, dense_quarter = times("oversubscription", *CASES["oversubscription"].variants)
    assert moe < half < quarter
    assert quarter / moe > 1.5
    assert dense_quarter == pytest.approx(dense, rel=0.01)


def test_one_slow_gpu_in_a_thousand_slows_all_of_them_by_less_than_its_slowdown():
    alike, slow = times("slow-gpu", "one GPU 30 % slower")
    assert 1.03 < slow / alike < 1.3


def test_hash_collisions_cost_what_spraying_gives_back():
    hashed, adaptive, sprayed = times("ecmp", "adaptive", "spray")
    assert sprayed / hashed < 0.9
    assert adaptive == pytest.approx(sprayed, rel=0.02)


def test_tensor_groups_belong_into_a_node():
    inside, two_nodes, across = times(
        "tensor-parallel", "tensor 16, over two nodes", "tensor 8, laid across the nodes"
    )
    assert inside < two_nodes < across


def test_slow_ethernet_is_for_pipelines_and_not_for_zero_3():
    fast, ethernet, slow, pipeline = times("zero3-on-ethernet", *CASES["zero3-on-ethernet"].variants)
    assert fast < ethernet < slow
    assert slow / fast > 3
    assert pipeline < slow / 1.5


@pytest.mark.parametrize("case", what_if.CASES, ids=lambda case: case.scenario)
def test_the_page_has_every_question_with_all_its_variants(case):
    page = (ROOT / "docs" / "what-if.md").read_text(encoding="utf-8")
    assert f"## {case.title}\n" in page
    assert all(f"| {label} |" in page for label in (case.baseline, *case.variants))
