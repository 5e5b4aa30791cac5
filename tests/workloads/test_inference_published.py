"""Step times beside Splitwise's measurements of Llama-2-70B (Patel et al., ISCA 2024)."""

from __future__ import annotations

import csv

import pytest

from clustersim import catalog
from clustersim.catalog.serving import DEFAULT_ENGINE, SHELF
from clustersim.collectives import Communicator
from clustersim.cost.serving.serving_cost import ServingCost
from clustersim.cost.serving.timer import RooflineTimer
from clustersim.engine.world import World
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build

GPUS = 2


@pytest.fixture(scope="module")
def rows(shared):
    """Two A100, where the device and not the launching host sets the pace; up to 8 requests."""
    with shared("truth/H2_llm_inference_profile.csv").open(newline="") as file:
        chosen = [row for row in csv.DictReader(file) if row["hardware"] == "a100-80gb"]
    return [row for row in chosen if int(row["tensor_parallel"]) == GPUS and int(row["batch_size"]) <= 8]


@pytest.fixture(scope="module")
def cost():
    model, accelerator = catalog.model("llama-2-70b"), catalog.accelerator("a100-sxm4-80gb")
    return ServingCost(model, accelerator, precision="fp16", tensor=GPUS)


@pytest.fixture(scope="module")
def communicator():
    star = {"topology": {"kind": "star", "nodes": 1, "node": "dgx-a100-80gb"}}
    world = World(build(ClusterSpec.model_validate(star), base=None))
    return Communicator(world, world.topology.gpus[:GPUS], owner="test")


def seconds(cost, communicator, *, tokens, **step):
    """Time of a step with its all-reduces and the catalogue's host overhead."""
    timer = RooflineTimer(cost, host_s=SHELF.get(DEFAULT_ENGINE).host_overhead_s)
    all_reduce_s = communicator.alone_s("all_reduce", cost.all_reduce_bytes(tokens))
    return timer.step(**step).seconds + cost.all_reduces * all_reduce_s


def test_token_times_of_small_batches_are_within_a_tenth(rows, cost, communicator):
    for row in rows:
        batch, context = int(row["batch_size"]), int(row["prompt_size"]) + int(row["token_size"]) // 2
        step = {"decodes": batch, "context_sum": batch * context, "chunks": (), "sampled": batch}
        got_s = seconds(cost, communicator, tokens=batch, **step)
        assert got_s == pytest.approx(float(row["token_time_ms"]) * 1e-3, rel=0.1)


def test_prompt_times_are_within_a_third(rows, cost, communicator):
    for row in rows:
        batch, prompt = int(row["batch_size"]), int(row["prompt_size"])
        step = {"decodes": 0, "context_sum": 0, "chunks": [(prompt, 0)] * batch, "sampled": batch}
        got_s = seconds(cost, communicator, tokens=batch * prompt, **step)
        assert got_s == pytest.approx(float(row["prompt_time_ms"]) * 1e-3, rel=0.34)
