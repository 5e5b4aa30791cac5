"""The blocks of a transformer in training, on one GPU of its layout.

Fusion of the memory-bound kernels is that of Megatron-LM: bias with GeLU or SwiGLU; bias, dropout and
residual addition; scale, mask and softmax; rotary positions; the loss. Normalisations and dropout of
the attention probabilities are kernels of their own.

**Source:** Narayanan et al., "Efficient Large-Scale Language Model Training on GPU
Clusters Using Megatron-LM", SC21, section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from clustersim.cost.training.attention import attention_block
from clustersim.cost.training.block import Block, joined, repeated
from clustersim.cost.training.ends import embedding_block, output_block
from clustersim.cost.training.experts import mixture_parts
from clustersim.cost.training.ffn import dense_part
from clustersim.cost.training.passes import TransformerPass
from clustersim.cost.training.shard import Shard
from clustersim.errors import CannotRunError, InputError, Problem

__all__ = ["transformer_blocks"]


def transformer_blocks(run: TransformerPass) -> tuple[Block, ...]:
    """Return the blocks of a transformer: embedding, attention and feed-forward parts, output.

    Raises
    ------
    InputError
        If the sequence is longer than the model's positions, or a layout lacks what it needs.
    CannotRunError
        For unfused attention of a context group.

    **Valid when** every sample has `sequence` tokens (no padding), and the output layer sees
    all tokens of a causal model, `MASKED_FRACTION` of the others'.
    **Checked by:** tests/cost/test_training_shards.py, tests/workloads/test_training_cost.py.
    """
    _check(run)
    return (embedding_block(run), *_layers(run), output_block(run))


def _check(run: TransformerPass) -> None:
    model, shard = run.model, run.shard
    if model.positional == "learned" and run.sequence > model.max_sequence:
        raise InputError(
            Problem(("sequence",), f"{run.sequence} tokens; {model.name} has {model.max_sequence} positions")
        )
    if run.attention == "unfused" and shard.context > 1:
        raise CannotRunError(
            Problem(("attention",), "'unfused' attention of a context group is not modelled; take 'fused'")
        )
    if model.moe is not None and shard.tensor > 1 and not shard.divides_sequence:
        _check_experts(shard)


def _check_experts(shard: Shard) -> None:
    if shard.expert > 1 or shard.expert_tensor != shard.tensor:
        raise InputError(
            Problem(
                ("parallelism", "sequence"),
                "false; experts that are divided otherwise than the rest of a layer need it with "
                f"'tensor: {shard.tensor}', so that every GPU routes tokens of its own",
            )
        )


def _layers(run: TransformerPass) -> Iterator[Block]:
    """Layers are alike, but for the first of some models, which have no experts."""
    model = run.model
    dense = model.layers if model.moe is None else min(model.moe.dense_layers, model.layers)
    for first, count in ((0, dense), (dense, model.layers - dense)):
        if count:
            attention = attention_block(run)
            blocks = attention, _ffn_block(run, first, attention)
            for layer in range(first, first + count):
                yield from (
                    replace(block, name=f"layer{layer}.{block.name}", layer=layer) for block in blocks
                )


def _ffn_block(run: TransformerPass, layer: int, attention: Block) -> Block:
    """Norm, dense part or experts, and residual addition."""
    model, experts, tail = run.model, 0, 0
    if model.moe is None or layer < model.moe.dense_layers:
        inner, norm = dense_part(run, width=model.ffn_hidden), run.block_norm("ffn.norm")
        if "feed_forward" in run.modules:
            kept_bytes = run.residual_elements * run.element
            inner = repeated(inner, inner.forward, inner.kept_bytes - kept_bytes)
        # The last product and the addition, whose dropout mask would be kept.
        tail = 0 if run.has_dropout else 2
    else:
        mixture = mixture_parts(run, beside=attention.part)
        inner, experts = mixture.part, mixture.experts.parameters
        norm = run.block_norm("ffn.norm", precision=run.precision)  # the router keeps it
    return Block(
        name="ffn",
        layer=layer,
        part=joined([norm, inner, run.residual("ffn.dropout_add")]),
        parameters_of_model=model.ffn_parameters(layer) + model.norm_parameters,
        expert_parameters=experts,
        tail=tail,
        output_bytes=run.output_bytes,
    )
