"""Cards for notebooks."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

import synthetic_result
from clustersim.results import Ending


class _Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("ending", Ending)
def test_the_card_of_a_result_is_balanced_html_with_its_headlines(ending: Ending) -> None:
    card = synthetic_result.result(ending=ending)._repr_html_()
    parser = _Balanced()
    parser.feed(card)
    assert parser.open == []
    assert "ttft_s.p99" in card
    assert ("PARTIAL" in card) == (ending is not Ending.COMPLETE)


def test_the_card_says_who_shared_the_busiest_links_and_what_held_them_back() -> None:
    card = synthetic_result.result()._repr_html_()
    assert "pretrain 80 %, chat 20 %" in card
    assert "protocol-bound" in card


def test_names_in_a_card_are_escaped() -> None:
    scenario = synthetic_result.scenario(name="<script>")
    assert "<script>" not in synthetic_result.result(scenario=scenario)._repr_html_()
