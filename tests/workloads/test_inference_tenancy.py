"""Several services and a training job on one cluster: GPUs apart, links together."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from inference_fleets import placed, requests_of, service_spec, uplinks

from clustersim.engine.world import World
from clustersim.errors import CannotRunError
from clustersim.spec.scenario import Scenario
from clustersim.spec.training import TrainingSpec
from clustersim.study.prepare import prepare
from clustersim.workloads import gpus_needed
from clustersim.workloads.placement import Placer

SPLIT_SERVICE = {
    "disaggregation": {"prefill": {"placement": {"nodes": [0]}}, "decode": {"placement": {"nodes": [1]}}}
}
CHAT = service_spec(requests=30, **SPLIT_SERVICE)
SEARCH = service_spec(name="search", requests=None, duration="40 s", **SPLIT_SERVICE)
JOB = TrainingSpec.model_validate(
    {
        "kind": "training",
        "name": "pretrain",
        "model": "gpt2-xl",
        "gpus": 4,
        "precision": "bf16",
        "micro_batch": 1,
        "global_batch": 8,
        "sequence": 1024,
        "steps": 100,
        "placement": {"policy": "spread"},
    }
)


@cache
def chat_beside(others):
    """Run the chat beside some of the others until it is done; return it and the world."""
    specs = (CHAT, SEARCH, JOB)[: others + 1]
    topology = uplinks()
    workloads = placed(topology, *specs)
    world = World(topology, seed=1)
    processes = [workload.start(world) for workload in workloads]
    world.env.run(until=processes[0])
    return workloads[0], world


def test_two_services_and_a_job_have_gpus_of_their_own_and_wait_for_the_same_link():
    placer = Placer(uplinks())
    taken = [
        [gpu for need in gpus_needed(spec) for gpu in placer.take(*need)] for spec in (CHAT, SEARCH, JOB)
    ]
    assert len({gpu for gpus in taken for gpu in gpus}) == sum(map(len, taken)) == 8
    _, world = chat_beside(2)
    uplink = next(n for n, name in enumerate(world.topology.link_names) if name.startswith("leaf0>spine"))
    waited = {
        owner
        for (owner, _, link), wait in world.link_waits.by_place.items()
        if link == uplink and wait.full_s
    }
    assert {"chat.kv", "search.kv"} < waited
    assert any(owner.startswith("pretrain") for owner in waited)


def test_each_neighbour_on_the_links_makes_transfers_longer_and_changes_no_first_token():
    exposed, first_tokens = [], []
    for others in range(3):
        requests = requests_of(chat_beside(others)[0])
        exposed.append(np.mean([request.handover.exposed_s for request in requests]))
        first_tokens.append([request.first_token_s for request in requests])
    assert exposed[0] < exposed[1] < exposed[2]
    np.testing.assert_allclose(first_tokens[1], first_tokens[0], rtol=1e-12)
    np.testing.assert_allclose(first_tokens[2], first_tokens[0], rtol=1e-12)


def test_services_that_ask_for_the_same_gpus_are_refused_where_the_second_does():
    service = {
        "kind": "inference",
        "model": "llama-2-7b",
        "parallelism": {"tensor": 4},
        "arrivals": {"kind": "poisson", "rate": "1 req/s"},
        "lengths": {"prompt": 10, "output": 10},
        "requests": 1,
        "placement": {"nodes": [0]},
    }
    scenario = Scenario.from_dict(
        {
            "name": "two-on-one-node",
            "cluster": {"topology": {"kind": "star", "nodes": 2, "node": "a100-40gb-x4"}},
            "workloads": [service | {"name": name} for name in ("chat", "search")],
        }
    )
    with pytest.raises(CannotRunError, match=r"workloads\[1\].*4 GPUs are asked for.* 0 free"):
        prepare(scenario)
