"""The highest load that keeps the objectives: found, resumed, refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clustersim as cs
from clustersim.errors import CannotRunError, InputError
from clustersim.study import running
from clustersim.study.capacity.bracket import Bracket
from clustersim.study.capacity.configuration import configurations
from clustersim.study.capacity.point import point_of

CHAT = {
    "kind": "inference",
    "name": "chat",
    "model": "llama-2-7b",
    "arrivals": {"kind": "poisson", "rate": "4/s"},
    "lengths": {"prompt": 256, "output": 32},
    "requests": 150,
    "slo": {"ttft": "300 ms"},
}
CLUSTER = {"topology": {"kind": "star", "nodes": 1, "node": "dgx-a100"}}


def scenario(**changes):
    chat = {name: value for name, value in {**CHAT, **changes}.items() if value is not None}
    return cs.Scenario.from_dict({"name": "small", "cluster": CLUSTER, "workloads": [chat]})


@pytest.fixture(scope="module")
def found():
    return cs.capacity(scenario(), attainment=0.95, tolerance=0.05, curve=3, jobs=1)


@given(threshold=st.floats(2.0**-11.9, 2.0**11.9), tolerance=st.sampled_from([0.5, 0.05, 0.001]))
def test_the_search_ends_within_the_tolerance_of_the_threshold(threshold, tolerance):
    bracket = Bracket(tolerance=tolerance)
    tries = 0
    while (factor := bracket.next_factor) is not None:
        bracket.tell(factor, kept=factor <= threshold)
        tries += 1
    assert bracket.kept <= threshold <= bracket.kept * (1.0 + tolerance) * (1.0 + 1e-12)
    assert tries <= 14 + math.log2(1.0 / math.log2(1.0 + tolerance)) + 1


@pytest.mark.parametrize(("kept", "end"), [(True, 2.0**12), (False, 0.0)])
def test_a_search_without_a_threshold_gives_up(kept, end):
    bracket = Bracket(tolerance=0.1)
    while (factor := bracket.next_factor) is not None:
        bracket.tell(factor, kept=kept)
    assert bracket.kept == end


def test_paths_that_end_alike_are_named_in_full():
    vary = {"workloads.chat.parallelism.tensor": [1], "workloads.chat.scheduler.max_batch": [4]}
    assert configurations(scenario(), service=None, vary=vary)[0].name == "tensor=1, max_batch=4"
    vary = {"workloads.chat.name": ["chat"], "name": ["small"]}
    assert (
        configurations(scenario(), service=None, vary=vary)[0].name == "workloads.chat.name=chat, name=small"
    )


def test_the_capacity_keeps_the_objectives_and_a_little_more_does_not(found):
    searched = found.best
    above = [point for point in searched.points if point.factor > searched.factor]
    assert searched.best.attainment >= 0.95
    assert not any(point.kept for point in above)
    assert min(point.factor for point in above) <= searched.factor * 1.05 * (1 + 1e-12)


def test_what_is_reported_at_the_capacity_is_what_a_run_at_that_load_measures(found):
    rate = 4.0 * found.best.factor
    result = cs.run(scenario(arrivals={"kind": "poisson", "rate": f"{rate!r}/s"}))
    metrics = result.metrics()["chat"]
    assert metrics["ttft_s.p99"] == pytest.approx(found.best.best.metrics["ttft_s.p99"], rel=1e-9)
    assert metrics["slo_attainment"] == found.best.best.attainment


def test_an_overloaded_run_is_never_kept():
    kept = {"slo_attainment": 1.0, "overloaded": 0.0}
    assert point_of(1.0, [kept], attainment=0.9).kept
    assert not point_of(1.0, [kept, {**kept, "overloaded": 1.0}], attainment=0.9).kept
    assert not point_of(1.0, [{"overloaded": 0.0}], attainment=0.9).kept


def test_a_second_search_takes_every_run_from_the_store(tmp_path, monkeypatch):
    first = cs.capacity(scenario(), tolerance=0.2, curve=0, jobs=1, store=tmp_path)
    monkeypatch.setattr(running, "simulate", None)
    again = cs.capacity(scenario(), tolerance=0.2, curve=0, jobs=1, store=tmp_path)
    assert again.document() == first.document()


def test_an_interrupted_search_goes_on_where_it_stopped(tmp_path, monkeypatch):
    runs = []

    def simulate(each):
        runs.append(each)
        if len(runs) == 3:
            raise KeyboardInterrupt
        return original(each)

    original = running.simulate
    monkeypatch.setattr(running, "simulate", simulate)
    with pytest.raises(KeyboardInterrupt):
        cs.capacity(scenario(), tolerance=0.2, curve=0, jobs=1, store=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    cs.capacity(scenario(), tolerance=0.2, curve=0, jobs=1, store=tmp_path)
    assert len({each.content_hash() for each in runs[3:]} & {each.content_hash() for each in runs[:2]}) == 0


def test_every_combination_is_searched_and_ranked(tmp_path):
    vary = {"workloads.chat.parallelism.tensor": [1, 2], "workloads.chat.model": ["llama-2-7b"]}
    found = cs.capacity(scenario(), vary=vary, tolerance=0.2, curve=2, jobs=1)
    names = [each.configuration.name for each in found.searched]
    assert names == ["tensor=1, model=llama-2-7b", "tensor=2, model=llama-2-7b"]
    assert found.searched[1].requests_per_s > found.searched[0].requests_per_s
    assert len(found.frame()) == 2
    found.save(tmp_path)
    kept = json.loads((tmp_path / "capacity.json").read_text())
    assert [each["name"] for each in kept["configurations"]] == names
    assert (tmp_path / "latency.png").stat().st_size > 10_000
    assert names[0] in found.summary(width=200)
    assert "TTFT within 300 ms" in found.summary()


def test_a_configuration_that_cannot_run_is_told_beside_the_others():
    vary = {"workloads.chat.model": ["llama-2-7b", "llama-2-70b"]}
    found = cs.capacity(scenario(), vary=vary, tolerance=0.3, curve=0, jobs=1)
    assert found.searched[0].factor > 0.0
    assert "does not fit" in found.searched[1].reason
    assert "llama-2-70b cannot run" in found.summary(width=200)


def test_a_run_that_fails_later_costs_nothing_that_was_found(monkeypatch):
    def simulate(each):
        record = original(each)
        return replace(record, error="no memory left") if each.workloads[0].arrivals.rate > 8.0 else record

    original = running.simulate
    monkeypatch.setattr(running, "simulate", simulate)
    found = cs.capacity(scenario(), curve=0, jobs=1)
    assert found.best.factor == 2.0
    assert found.searched[0].reason == "no memory left"
    assert "a run ended the search: no memory left" in found.summary(width=200)


def test_objectives_that_no_load_keeps_are_told():
    found = cs.capacity(scenario(slo={"ttft": "1 us"}, requests=5), curve=0, jobs=1)
    assert found.best is None
    assert found.searched[0].factor == 0.0
    assert len(found.searched[0].points) < 5  # an idle service that is late is not tried at ever lower loads
    assert "at no load" in found.summary(width=200)


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({"slo": None}, {}, "objectives"),
        ({}, {"service": "chta"}, "Did you mean 'chat'"),
        ({}, {"attainment": 0.0}, "attainment"),
        ({}, {"tolerance": 2.0}, "tolerance"),
        ({}, {"seeds": 0}, "seed"),
        ({}, {"vary": {"workloads.chat.modle": ["a"]}}, "modle"),
    ],
)
def test_what_cannot_be_searched_is_refused(changes, options, words):
    with pytest.raises(InputError, match=words):
        cs.capacity(scenario(**changes), jobs=1, **options)


def test_a_scenario_that_cannot_run_says_why():
    with pytest.raises(CannotRunError, match="does not fit"):
        cs.capacity(scenario(model="llama-2-70b"), jobs=1)


FEED = {
    "kind": "ranking-inference",
    "name": "feed",
    "model": "dlrm-nvidia-4b",
    "embeddings": {"kind": "local", "precision": "fp16"},
    "arrivals": {"kind": "poisson", "rate": "20000 qps"},
    "candidates": {"kind": "quantiles"},
    "slo": {"latency": "400 us", "percentile": "p95"},
    "queries": 1500,
}


def test_the_highest_load_of_a_ranking_service_is_that_at_which_its_percentile_holds():
    small = cs.Scenario.from_dict({"name": "small", "cluster": CLUSTER, "workloads": [FEED]})
    found = cs.capacity(small, tolerance=0.05, curve=0, jobs=1)
    best, points = found.best.best, found.searched[0].points
    missed = next(point for point in points if point.factor > best.factor)
    assert found.attainment == 0.95
    assert best.metrics["latency_s.p95"] <= 400e-6
    assert missed.metrics["latency_s.p95"] > 400e-6 or missed.overloaded
    assert missed.factor <= best.factor * 1.05 * (1.0 + 1e-9)
    assert found.best.requests_per_s == best.metrics["queries_per_s"]
    assert "95.0 % of queries: latency within 400 µs" in found.summary()
    assert [name for name, _ in found.plot.all()] == ["latency"]


def test_a_ranking_service_without_an_objective_is_refused():
    without = {**FEED, "slo": {}}
    small = cs.Scenario.from_dict({"name": "small", "cluster": CLUSTER, "workloads": [without]})
    with pytest.raises(InputError, match=r"e\.g\. \{latency: 500 ms\}"):
        cs.capacity(small)
