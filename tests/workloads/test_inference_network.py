"""Exchanges of a step: alone as in closed form, on the fabric as in closed form where nobody else is."""

from __future__ import annotations

import pytest

from clustersim import catalog
from clustersim.collectives import Communicator
from clustersim.cost.number_formats import NumberFormats
from clustersim.cost.serving.layout import ServingLayout
from clustersim.cost.serving.serving_cost import ServingCost
from clustersim.engine.fabric import DEFAULT_TRAFFIC
from clustersim.engine.world import World
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.training import CollectiveSpec
from clustersim.topology import build
from clustersim.workloads.inference.replica.exchanges import step_network

TENSOR = {"tensor": 8}
PIPELINE = {"tensor": 4, "pipeline": 4}
EXPERTS = {"data": 16, "expert": 16, "expert_exchange": "all-to-all"}
DEDUPLICATED = {"data": 16, "expert": 16, "expert_exchange": "deduplicated"}
MIXED = {"tensor": 2, "data": 8, "expert": 16, "expert_exchange": "all-to-all"}
GATHERED = {"tensor": 2, "data": 4}
LAYOUTS = [TENSOR, PIPELINE, EXPERTS, DEDUPLICATED, MIXED, GATHERED]


def world(nodes=2):
    star = {
        "topology": {"kind": "star", "nodes": nodes, "node": "dgx-h100"},
        "fabric": {"link": "infiniband-ndr"},
    }
    return World(build(ClusterSpec.model_validate(star), base=None))


def network(layout, *, model="qwen3-30b-a3b", formats=None, inside=None, kernel_bytes=0.0):
    there = inside or world()
    placed = ServingLayout(**layout)
    cost = ServingCost(
        catalog.model(model),
        catalog.accelerator("h100-sxm5-80gb"),
        layout=placed,
        formats=formats or NumberFormats(precision="bf16"),
    )
    return there, step_network(
        there,
        there.topology.gpus[: placed.gpus],
        cost,
        owner="chat.0",
        collective=CollectiveSpec(),
        traffic=DEFAULT_TRAFFIC,
        kernel_bytes=kernel_bytes,
    )


def on_fabric(there, run):
    """Run the parts of a step one after the other; return the seconds, and those of each record."""
    done = []

    def process():
        for part in range(run.slices):
            record = yield run.run(64, part=part, cause=-1, sampled=64)
            done.append(record)

    there.env.process(process())
    there.env.run()
    return there.env.now, done


@pytest.mark.parametrize("layout", LAYOUTS)
def test_slices_on_an_empty_fabric_take_what_the_closed_form_says(layout):
    there, exchanges = network(layout)
    assert exchanges.private
    alone = exchanges.alone(64, 64)
    assert alone.seconds > 0
    assert sum(alone.shares.values()) == pytest.approx(alone.seconds, rel=1e-9)
    took_s, records = on_fabric(there, exchanges)
    assert took_s == pytest.approx(alone.seconds, rel=1e-6)
    shares = sum(sum(record.shares.values()) for record in records)
    assert shares == pytest.approx(took_s, rel=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_stages_are_the_step(layout):
    _, exchanges = network(layout)
    stages = range(layout.get("pipeline", 1))
    parts = [exchanges.stage_alone(64, stage, 64).seconds for stage in stages]
    assert sum(parts) == pytest.approx(exchanges.alone(64, 64).seconds, rel=1e-12)


def test_tensor_parallelism_is_two_all_reduces_a_layer_and_the_logits():
    there, exchanges = network(TENSOR, model="llama-3-8b")
    communicator = Communicator(there, there.topology.gpus[:8], owner="other")
    reduced = 64 * communicator.alone_s("all_reduce", 64 * 4096 * 2)
    gathered = communicator.alone_s("all_gather", 3 * 128256 * 2)
    assert exchanges.alone(64).seconds == pytest.approx(reduced, rel=1e-9)
    assert exchanges.alone(64, 3).seconds == pytest.approx(reduced + gathered, rel=1e-9)


def test_tokens_go_to_their_experts_and_back_in_every_layer():
    there, exchanges = network(EXPERTS)
    model = catalog.model("qwen3-30b-a3b")
    communicator = Communicator(there, there.topology.gpus[:16], owner="other")
    size = 64 / 16 * 8 * model.hidden * 2
    expected = model.layers * 2 * communicator.alone_s("all_to_all", size)
    assert exchanges.alone(64).seconds == pytest.approx(expected, rel=1e-9)


def test_a_busier_group_and_wider_numbers_send_more_and_deduplication_less():
    large = {
        "plain": network(EXPERTS)[1],
        "busy": network({**EXPERTS, "expert_load": 2.0})[1],
        "fp8": network(EXPERTS, formats=NumberFormats(precision="bf16", weights="fp8", activations="fp8"))[1],
        "deduplicated": network(DEDUPLICATED)[1],
    }
    seconds = {name: exchanges.alone(65536).seconds for name, exchanges in large.items()}
    assert seconds["busy"] == pytest.approx(2 * seconds["plain"], rel=0.05)
    assert seconds["fp8"] == pytest.approx(0.75 * seconds["plain"], rel=0.05)
    assert seconds["deduplicated"] < 0.9 * seconds["plain"]


def test_another_tenant_on_the_links_ends_the_closed_form_and_makes_the_step_longer():
    there = world()
    _, exchanges = network({"tensor": 16}, model="llama-3-70b", inside=there)
    alone_s = exchanges.alone(64, 64).seconds
    called = []
    exchanges.on_shared(lambda: called.append(True))
    other = Communicator(there, [there.topology.gpus[0], there.topology.gpus[8]], owner="other")
    other.all_reduce(1e9)
    took_s, _ = on_fabric(there, exchanges)
    assert called
    assert not exchanges.private
    assert took_s > alone_s


def test_one_gpu_has_no_network():
    assert network({"tensor": 1})[1] is None


def test_small_all_reduces_go_by_the_engines_kernels_inside_a_node_and_large_ones_do_not():
    plain, kernels = (
        network(TENSOR, model="llama-3-8b", kernel_bytes=limit)[1] for limit in (0.0, 8 * 2**20)
    )
    assert kernels.alone(1).seconds < 0.5 * plain.alone(1).seconds
    assert kernels.alone(1023).seconds <= plain.alone(1023).seconds
    assert kernels.alone(1024).seconds == plain.alone(1024).seconds
    across = {"tensor": 16}
    apart = [network(across, model="llama-3-70b", kernel_bytes=limit)[1] for limit in (0.0, 8 * 2**20)]
    assert apart[0].alone(1).seconds == apart[1].alone(1).seconds


def test_the_engines_kernels_take_the_same_on_an_empty_fabric():
    there, kernels = network(TENSOR, model="llama-3-8b", kernel_bytes=8 * 2**20)
    assert kernels.private
    took_s, _ = on_fabric(there, kernels)
    assert took_s == pytest.approx(kernels.alone(64, 64).seconds, rel=1e-6)
