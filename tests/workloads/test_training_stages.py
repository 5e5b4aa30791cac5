"""Which layers go to which stage."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.cost.training.training_cost import training_cost
from clustersim.errors import InputError
from clustersim.spec.parallelism import TrainingParallelismSpec
from clustersim.spec.training import TrainingSpec
from clustersim.workloads.training.layout import Layout
from clustersim.workloads.training.stages import assign, divide, layer_units, stage_chunks


class Named(NamedTuple):
    name: str


def transformer(layers: int) -> list[Named]:
    inside = [Named(f"layer{layer}.{part}") for layer in range(layers) for part in ("attention", "ffn")]
    return [Named("embedding"), *inside, Named("output")]


def pipeline(stages: int) -> Layout:
    return Layout.of(TrainingParallelismSpec(pipeline=stages), gpus=[str(number) for number in range(stages)])


def layers_of(chunks: tuple[tuple[Named, ...], ...]) -> list[int]:
    return [sum(block.name.endswith(".ffn") for block in chunk) for chunk in chunks]


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 4), st.integers(0, 60))
def test_chunks_are_the_model_in_order_and_as_even_as_can_be(stages: int, chunks: int, more: int):
    blocks = transformer(stages * chunks + more)
    found = assign(blocks, pipeline(stages), virtual_stages=chunks)
    assert [block for chunk in found for block in chunk] == blocks
    counts = layers_of(found)
    assert len(counts) == stages * chunks
    assert max(counts) - min(counts) <= 1
    assert counts[-1] == min(counts)
    assert all(chunk[-1].name.endswith((".ffn", "output")) for chunk in found)


def test_chunks_of_a_stage_are_those_that_megatron_documents():
    """Megatron-LM, `initialize_model_parallel`: 16 layers, 4 stages of 2 chunks, layers from 1."""
    found = assign(transformer(16), pipeline(4), virtual_stages=2)
    numbers = [
        [[int(block.name[5:-4]) + 1 for block in chunk if block.name.endswith(".ffn")] for chunk in own]
        for own in (stage_chunks(found, stage=stage, stages=4) for stage in range(4))
    ]
    assert numbers == [[[1, 2], [9, 10]], [[3, 4], [11, 12]], [[5, 6], [13, 14]], [[7, 8], [15, 16]]]


def test_llama_3_405b_has_a_layer_less_on_its_first_and_last_stage():
    assert layers_of(assign(transformer(126), pipeline(16))) == [7, *[8] * 14, 7]


def test_bloom_counts_embedding_and_output_as_layers():
    assert layers_of(assign(transformer(70), pipeline(12))) == [5, *[6] * 10, 5]


def test_one_layer_too_many_for_even_chunks_goes_to_the_middle():
    assert layers_of(assign(transformer(9), pipeline(4))) == [2, 3, 2, 2]


def test_layers_of_each_chunk_can_be_given():
    found = assign(transformer(10), pipeline(2), virtual_stages=2, layers_per_stage=(1, 4, 3, 2))
    assert layers_of(found) == [1, 4, 3, 2]
    assert found[0][0].name == "embedding"
    assert found[-1][-1].name == "output"
    assert [layers_of((chunk,)) for chunk in stage_chunks(found, stage=1, stages=2)] == [[4], [2]]


def test_a_layer_table_is_cut_between_its_blocks_only():
    names = ["conv1", "conv1.norm", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "fc"]
    units = layer_units([Named(name) for name in names])
    assert [len(unit) for unit in units] == [2, 2, 1, 1]
    assert [len(chunk) for chunk in assign([Named(name) for name in names], pipeline(4))] == [2, 2, 1, 1]


@pytest.mark.parametrize(
    ("layers", "stages", "chunks", "message"),
    [
        (
            4,
            8,
            1,
            "parallelism.pipeline: 8 stages of 1 chunks need as many layers, the model has 4; at most 4",
        ),
        (9, 4, 3, "parallelism.virtual_stages: 4 stages of 3 chunks need .* the model has 9; at most 2"),
    ],
)
def test_more_chunks_than_layers_are_refused(layers: int, stages: int, chunks: int, message: str):
    with pytest.raises(InputError, match=message):
        assign(transformer(layers), pipeline(stages), virtual_stages=chunks)


@pytest.mark.parametrize(
    ("counts", "message"),
    [((4, 4, 4), "has 3 numbers for 2 chunks"), ((4, 5), "adds up to 9 layers, the model has 8")],
)
def test_layers_that_do_not_add_up_are_refused(counts: tuple[int, ...], message: str):
    with pytest.raises(InputError, match=f"parallelism.layers_per_stage: {message}"):
        assign(transformer(8), pipeline(2), layers_per_stage=counts)


def test_layers_that_are_recomputed_are_the_first_of_their_stage():
    cost = training_cost(
        catalog.model("gpt3-1.3b"),
        catalog.accelerator("a100-sxm4-80gb"),
        precision="bf16",
        micro_batch=1,
        recompute="full",
    )
    layout = {"pipeline": 2, "virtual_stages": 3}
    fields = {
        "kind": "training",
        "name": "job",
        "model": "gpt3-1.3b",
        "gpus": 2,
        "micro_batch": 1,
        "steps": 1,
    }
    spec = TrainingSpec.model_validate(
        fields | {"parallelism": layout, "recompute": "full", "recompute_layers": 6}
    )
    chunks = divide(cost.layers, pipeline(2), spec)
    recomputed = [sum(block.recomputed_bytes > 0 for block in chunk) / 2 for chunk in chunks]
    assert recomputed == [4, 4, 2, 2, 0, 0]
    every = divide(cost.layers, pipeline(2), spec.model_copy(update={"recompute_layers": None}))
    assert [sum(block.recomputed_bytes > 0 for block in chunk) / 2 for chunk in every] == [4] * 6
