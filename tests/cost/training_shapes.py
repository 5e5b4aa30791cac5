"""Small models and jobs for tests of what a GPU has of a model in training."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from clustersim import catalog
from clustersim.catalog.models import TransformerModel
from clustersim.cost.training.layer_cost import LayerCost
from clustersim.cost.training.shard import Shard
from clustersim.cost.training.training_cost import TrainingCost, training_cost

A100 = catalog.accelerator("a100-sxm4-80gb")
H100 = catalog.accelerator("h100-sxm5-80gb")


def gpt(*, hidden: int = 2048, heads: int = 16, layers: int = 2, sequence: int = 2048) -> TransformerModel:
    """Return a GPT of any width."""
    return replace(
        catalog.model("megatron-22b"),
        name="gpt",
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        ffn_hidden=4 * hidden,
        max_sequence=sequence,
    )


def short(name: str, layers: int = 2) -> TransformerModel:
    """Return a model of the catalogue with fewer layers."""
    return replace(catalog.model(name), layers=layers)


def cost(model: TransformerModel, accelerator=A100, **options) -> TrainingCost:
    """Return the cost of a model with two samples in bf16, unless said otherwise."""
    return training_cost(model, accelerator, **({"precision": "bf16", "micro_batch": 2} | options))


def layer(found: TrainingCost, number: int = 0) -> list[LayerCost]:
    """Return the blocks of one layer."""
    return [block for block in found.layers if block.layer == number]


tensor_shards = st.builds(
    Shard,
    tensor=st.sampled_from([1, 2, 4, 8]),
    sequence=st.booleans(),
    context=st.sampled_from([1, 2, 4]),
    context_exchange=st.sampled_from(["ring", "all-gather"]),
)
"""Layouts that any dense model with 8 heads can have."""
