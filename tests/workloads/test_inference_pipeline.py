"""Replicas over pipeline stages: on links of their own, and among others' flows."""

from __future__ import annotations

import pytest

import clustersim as cs


def scenario(*, pipeline, nodes=1, **service):
    chat = {
        "kind": "inference",
        "name": "chat",
        "model": "llama-2-70b",
        "parallelism": {"tensor": 4, "pipeline": pipeline},
        "placement": {"nodes": list(range(nodes))},
        "scheduler": {"policy": "sarathi", "max_batched_tokens": 512, "max_batch": 64},
        "arrivals": {"kind": "poisson", "rate": "4 req/s"},
        "lengths": {"prompt": 700, "output": 12},
        "requests": 30,
        **service,
    }
    return cs.Scenario.from_dict(
        {
            "name": "staged",
            "seed": 2,
            "cluster": {"topology": {"kind": "star", "nodes": nodes, "node": "dgx-a100"}},
            "workloads": [chat],
        }
    )


def table(scenario):
    return cs.run(scenario).requests("chat")


def test_every_request_is_answered_and_its_shares_add_up_to_one():
    requests = table(scenario(pipeline=2))
    assert requests.finish_s.notna().all()
    shares = requests[[name for name in requests.columns if name.endswith("_share")]]
    assert shares.sum(axis=1).to_numpy() == pytest.approx(1.0)


def test_two_stages_answer_more_than_one_under_load_and_a_lone_request_no_faster():
    heavy = {"arrivals": {"kind": "fixed", "rate": "40 req/s"}, "requests": 60}
    one, two = (table(scenario(pipeline=stages, **heavy)) for stages in (1, 2))
    assert two.finish_s.max() < 0.8 * one.finish_s.max()
    alone = {"arrivals": {"kind": "fixed", "rate": "0.01 req/s"}, "requests": 1}
    one, two = (table(scenario(pipeline=stages, **alone)) for stages in (1, 2))
    assert two.e2e_s[0] > 0.95 * one.e2e_s[0]


def test_stages_on_the_fabric_take_what_they_take_in_closed_form():
    alone = {"arrivals": {"kind": "fixed", "rate": "0.01 req/s"}, "requests": 1}
    closed = table(scenario(pipeline=2, **alone))
    stepwise = table(scenario(pipeline=2, collective={"fidelity": "stepwise"}, **alone))
    assert stepwise.e2e_s[0] == pytest.approx(closed.e2e_s[0], rel=0.02)
