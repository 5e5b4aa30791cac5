"""Services with layouts and techniques, end to end: all is answered, and faster where it should be."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from clustersim.engine.world import World
from clustersim.errors import CannotRunError, InputError
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.inference import InferenceSpec
from clustersim.topology import build
from clustersim.workloads.inference import InferenceWorkload

LAYOUTS = {
    "tensor": {"tensor": 2},
    "pipeline": {"pipeline": 2},
    "experts": {"data": 2, "expert": 2},
    "deduplicated": {"data": 4, "expert": 4, "expert_dispatch": "deduplicated"},
    "expert tensor": {"tensor": 2, "data": 2, "expert": 2, "expert_load": 1.5},
    "gathered": {"tensor": 2, "data": 2},
}
TECHNIQUES = {
    "int4": {"weights": "int4"},
    "fp8": {"weights": "fp8", "activations": "fp8"},
    "sparse": {"sparsity": "2:4"},
    "n-gram": {"speculation": {"tokens": 3, "acceptance": 0.6}},
    "draft": {"speculation": {"draft": "llama-3.2-1b", "tokens": 4, "acceptance": 0.8}},
}


@cache
def cluster():
    star = {
        "topology": {"kind": "star", "nodes": 1, "node": "dgx-h100"},
        "fabric": {"link": "infiniband-ndr"},
    }
    return build(ClusterSpec.model_validate(star), base=None, seed=0)


def served(**fields):
    """What a service did: Llama-3-8B on one GPU, with anything changed."""
    values = {
        "kind": "inference",
        "name": "chat",
        "model": "llama-3-8b",
        "arrivals": {"kind": "poisson", "rate": "6 req/s"},
        "lengths": {"table": "azure-conversation-2023"},
        "requests": 40,
    } | fields
    spec = InferenceSpec.model_validate(values)
    workload = InferenceWorkload(spec, topology=cluster(), gpus=cluster().gpus[: spec.parallelism.gpus])
    world = World(cluster(), seed=1)
    world.env.run(until=workload.start(world))
    assert all(gpu.memory.free_bytes == pytest.approx(gpu.memory.capacity) for gpu in world.gpus.values())
    return workload.outcome()


def finishes(outcome):
    return np.array(outcome.tables["requests"]["finish_s"])


@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUTS)
def test_every_layout_answers_and_skipping_ahead_changes_nothing(layout):
    skipping, stepping = (
        served(model="qwen3-30b-a3b", parallelism=LAYOUTS[layout], skip_ahead=skip) for skip in (True, False)
    )
    assert skipping.complete
    np.testing.assert_allclose(finishes(skipping), finishes(stepping), rtol=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUTS)
def test_the_shares_of_every_layout_add_up_to_one(layout):
    outcome = served(model="qwen3-30b-a3b", parallelism=LAYOUTS[layout])
    assert sum(outcome.attribution.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("name", TECHNIQUES, ids=TECHNIQUES)
def test_every_technique_makes_tokens_cheaper(name):
    plain, other = served(), served(techniques=TECHNIQUES[name])
    assert other.complete
    before, after = (outcome.metrics["tpot_s.p50"] for outcome in (plain, other))
    assert after < 0.8 * before


def test_guesses_come_out_as_many_as_asked_for_and_the_same_in_every_variant():
    plain = served(techniques=TECHNIQUES["n-gram"])
    eager = served(techniques={**TECHNIQUES["n-gram"], "cuda_graphs": False}, host_overhead="20 ms")
    lengths = [np.array(outcome.tables["requests"]["output_tokens"]) for outcome in (plain, eager)]
    np.testing.assert_array_equal(*lengths)
    decoded = [sum(np.array(outcome.tables["steps"]["decodes"])) for outcome in (plain, eager)]
    assert decoded[0] == decoded[1] < 0.6 * sum(lengths[0])


def test_launching_kernel_by_kernel_is_slower_than_graphs():
    graphs, eager = (
        served(model="llama-3.2-1b", techniques={"cuda_graphs": graphs}) for graphs in (True, False)
    )
    assert eager.metrics["tpot_s.p50"] > 1.3 * graphs.metrics["tpot_s.p50"]


def test_a_model_that_does_not_fit_names_layouts_in_which_it_does():
    with pytest.raises(CannotRunError, match="it fits on 2 GPUs \\(tensor 2, pipeline 1") as refusal:
        served(model="llama-3-70b", techniques={"weights": "fp8"})
    assert "2 GPUs (tensor 1, pipeline 2" in str(refusal.value)
    for layout in ({"tensor": 2}, {"pipeline": 2}):
        assert served(
            model="llama-3-70b", techniques={"weights": "fp8"}, parallelism=layout, requests=2
        ).complete


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"engine": "vlm-0.5"}, r"engine: unknown inference engine 'vlm-0.5'. Did you mean 'vllm-0.5'"),
        ({"techniques": {"speculation": {"draft": "bert-base", "acceptance": 0.5}}}, r"speculation.draft"),
        ({"parallelism": {"tensor": 3}}, r"parallelism.tensor: 3 GPUs do not divide the 32 heads"),
        ({"parallelism": {"tensor": 2, "expert": 2}}, r"parallelism.expert: llama-3-8b has no experts"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(fields, words):
    with pytest.raises(InputError, match=words):
        served(**fields)
