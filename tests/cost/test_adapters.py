"""Low-rank adapters: what is trained, and what the frozen weights still cost."""

from __future__ import annotations

import pytest
from training_shapes import cost, short

from clustersim import catalog
from clustersim.cost.training.adapters import Adapters
from clustersim.cost.training.shard import Shard
from clustersim.errors import InputError

MODEL = short("llama-2-7b")


@pytest.mark.parametrize("rank", [8, 64])
def test_adapters_have_the_published_parameters(rank):
    h, f = MODEL.hidden, MODEL.ffn_hidden
    found = cost(MODEL, sequence=512, adapters=Adapters(rank=rank))
    pairs = [(h, 3 * h), (h, h), (h, 2 * f), (f, h)]
    assert found.parameters == MODEL.layers * rank * sum(map(sum, pairs))
    assert sum(block.frozen_parameters for block in found.layers) == MODEL.parameters


def test_frozen_weights_have_no_gradients():
    full, found = cost(MODEL, sequence=512), cost(MODEL, sequence=512, adapters=Adapters())
    assert found.parameters < 0.02 * full.parameters
    weight = [sum(block.backward_weight.seconds for block in each.layers) for each in (full, found)]
    assert weight[1] < 0.1 * weight[0]


def test_the_backward_pass_loses_a_third_of_its_products():
    full = cost(MODEL, sequence=2048).flops
    found = cost(MODEL, sequence=2048, adapters=Adapters()).flops
    assert found.model / full.model == pytest.approx(2 / 3, abs=0.04)
    slow, fast = (cost(MODEL, sequence=2048, adapters=each) for each in (None, Adapters()))
    assert 0.5 < fast.backward.seconds / slow.backward.seconds < 0.75


def test_a_layer_without_an_adapter_keeps_no_input():
    all_of_them, some = (
        cost(MODEL, sequence=512, adapters=Adapters(targets=targets)).layers[2].activation_bytes
        for targets in (("up", "down"), ("qkv",))
    )
    tokens = 2 * 512
    rank = 2 * 16
    assert all_of_them - some == 2 * tokens * (MODEL.hidden + MODEL.ffn_hidden + rank)


def test_adapters_are_divided_with_their_layers():
    whole, part = (
        cost(MODEL, sequence=512, adapters=Adapters(rank=16), shard=Shard(tensor=t)).parameters
        for t in (1, 4)
    )
    h, f = MODEL.hidden, MODEL.ffn_hidden
    # One side of each adapter is divided, the other is on every GPU.
    copied = MODEL.layers * 16 * (h + h + h + h)
    assert 4 * part == whole + 3 * copied
    assert whole - copied == MODEL.layers * 16 * (3 * h + h + 2 * f + f)


@pytest.mark.parametrize(("fields", "said"), [({"targets": ("qvk",)}, "qkv"), ({"rank": 0}, "rank")])
def test_what_no_adapter_can_be_is_refused(fields, said):
    with pytest.raises(InputError, match=said):
        Adapters(**fields)


def test_the_base_stays_what_it_is():
    found = cost(catalog.model("llama-2-7b"), sequence=512, adapters=Adapters())
    assert sum(block.parameters_of_model for block in found.layers) == catalog.model("llama-2-7b").parameters
