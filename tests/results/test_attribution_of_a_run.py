"""Attribution of a real run: the trace and the workloads' own accounts agree."""

from __future__ import annotations

import math

import pytest

from clustersim.results import Result, by_class, seconds_by_resource, shares
from clustersim.spec.scenario import Scenario
from clustersim.study.runner import run

SCENARIO = {
    "name": "two tenants",
    "cluster": {
        "topology": {
            "kind": "leaf-spine",
            "nodes": 4,
            "node": "a100-40gb-x4",
            "nodes_per_leaf": 1,
            "spines": 1,
        }
    },
    "workloads": [
        {
            "kind": "training",
            "name": "pretrain",
            "model": "gpt2",
            "gpus": 8,
            "micro_batch": 2,
            "steps": 4,
            "placement": {"nodes": [0, 1]},
        },
        {
            "kind": "inference",
            "name": "chat",
            "model": "llama-2-13b",
            "parallelism": {"tensor": 8},
            "placement": {"nodes": [2, 3]},
            "arrivals": {"kind": "fixed", "rate": "20 req/s"},
            "lengths": {"prompt": 200, "output": 20},
            "requests": 12,
        },
    ],
}


@pytest.fixture(scope="module")
def result() -> Result:
    return run(Scenario.from_dict(SCENARIO))


def test_the_split_of_every_activity_adds_up_to_its_duration(result: Result) -> None:
    for activity in result.trace:
        length = activity.end_s - activity.start_s
        assert math.fsum(activity.shares.values()) == pytest.approx(length, rel=1e-9, abs=1e-12), activity


def test_causes_end_before_what_they_cause_begins(result: Result) -> None:
    for activity in result.trace:
        if activity.cause >= 0:
            assert result.trace[activity.cause].end_s <= activity.start_s + 1e-12


def test_critical_paths_of_all_iterations_give_the_job_s_own_attribution(result: Result) -> None:
    iterations = result.iterations("pretrain")["iteration"]
    paths = [segment for k in iterations for segment in result.critical_path("pretrain", iteration=k)]
    assert shares(paths) == pytest.approx(dict(result.attribution("pretrain")), abs=1e-9)


def test_the_critical_path_of_a_request_gives_its_own_shares(result: Result) -> None:
    for row in result.requests("chat").itertuples():
        path = result.critical_path("chat", request=row.request)
        assert path[0].start_s == pytest.approx(row.arrival_s)
        assert sum(seconds_by_resource(path).values()) == pytest.approx(row.e2e_s)
        for resource, share in by_class(shares(path)).items():
            assert share == pytest.approx(getattr(row, f"{resource}_share"), abs=1e-6), resource


def test_attributions_of_workloads_add_up_to_one(result: Result) -> None:
    for name in result.outcomes:
        assert math.fsum(result.attribution(name).values()) == pytest.approx(1.0)


def test_the_share_of_the_network_is_the_elasticity_of_the_iteration_to_its_bandwidth() -> None:
    def iteration(bandwidth: float) -> Result:
        alone = {**SCENARIO, "workloads": SCENARIO["workloads"][:1]}  # type: ignore[index]
        scenario = Scenario.from_dict(alone)
        return run(scenario.with_(**{"cluster.fabric.bandwidth": f"{bandwidth} Gbit/s"}))

    before, after = iteration(20.0), iteration(20.2)
    seconds = [made.metrics()["pretrain"]["iteration_s.mean"] for made in (before, after)]
    share = by_class(before.attribution("pretrain"))["network_bandwidth"]
    assert share > 0.2
    assert -math.log(seconds[1] / seconds[0]) / math.log(1.01) == pytest.approx(share, rel=0.02)
