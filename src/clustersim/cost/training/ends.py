"""What stands before and behind the layers of a transformer in training, on one GPU."""

from __future__ import annotations

from dataclasses import replace

from clustersim.cost.operators import elementwise
from clustersim.cost.training.block import Block, Exchange, Part, joined
from clustersim.cost.training.linear import column_linear, linear
from clustersim.cost.training.passes import TransformerPass, divided

__all__ = ["MASKED_FRACTION", "embedding_block", "output_block"]

MASKED_FRACTION = 0.15
"""Tokens of a masked language model that go through the output layer (Devlin et al., NAACL 2019)."""

_LOGIT_BYTES = 4
"""Logits are turned to fp32 for the loss (Korthikanti et al., 2022, section 4.3)."""

_LOSS_PASSES = 9
_LOSS_PASSES_BACKWARD = 3
"""fp32 logits read or written by the loss (NVIDIA Megatron-LM, megatron/core/tensor_parallel/
cross_entropy.py, without `--cross-entropy-loss-fusion`, which is the default): the conversion writes
them (1), the maximum reads them (1), subtraction (2) and exponential (2) read and write them, the sum reads
them (1), the division by it reads and writes them (2); backward the factor of the sample reads and writes (2)
and the conversion reads (1). Conversions also read or write the 16-bit logits once."""

_LOSS_SUMS = 3
"""All-reduces of one number per token: largest logit, that of the target, sum of exponentials
(NVIDIA Megatron-LM, megatron/core/tensor_parallel/cross_entropy.py)."""

_IMAGE_ELEMENTS = 3 * 224 * 224
_CLASSES = 1000
"""An image encoder sees 224 × 224 pixels in three colours and tells 1,000 classes apart (Dosovitskiy
et al., ICLR 2021; ImageNet-1k)."""


def embedding_block(run: TransformerPass) -> Block:
    """Return the look-up of tokens, or the product with patches of an image; then dropout."""
    model = run.model
    first = _lookup(run) if model.vocab else _patches(run)
    elements = run.residual_elements
    mask = elements if run.has_dropout else 0.0
    dropout = Part(
        forward=(run.memory("embedding.dropout", 2 * elements, mask=mask),),
        backward=(run.memory("embedding.dropout.backward", 2 * elements, mask=mask),),
        kept_bytes=mask,
    )
    return Block(
        name="embedding",
        layer=None,
        part=first + dropout if mask else first,
        parameters_of_model=model.embedding_parameters,
        output_bytes=run.output_bytes,
    )


def _table(run: TransformerPass) -> int:
    """Elements of the token embedding on this GPU; the vocabulary is padded to a multiple of the group."""
    return divided(run.model.vocab, run.shard.tensor) * run.model.hidden


def _lookup(run: TransformerPass) -> Part:
    """Rows are gathered; the gradient is written for the whole table, then rows are added.

    Each GPU of a tensor group looks up its words, and the group adds up.
    """
    model = run.model
    elements = run.tokens * model.hidden
    held = _table(run) + model.embedding_parameters - model.vocab * model.hidden
    trained, frozen = run.held(held)
    gradient = run.memory("embedding.backward", held * _table_passes(run) + 3.0 * elements)
    divides = run.shard.divides_sequence
    return Part(
        forward=(run.memory("embedding", 2 * elements),),
        weight=() if frozen else (gradient,),
        parameters=trained,
        frozen_parameters=frozen,
        exchanges=run.gathered("reduce_scatter" if divides else "all_reduce"),
        exchanges_backward=run.gathered("all_gather") if divides and not frozen else (),
    )


def _table_passes(run: TransformerPass) -> float:
    """16-bit numbers moved per word and width: the gradient is written, and read to be added up."""
    if run.gradient_bytes <= run.element:
        return 1.0
    return 2.0 + 2.0 * run.gradient_bytes / run.element


def _patches(run: TransformerPass) -> Part:
    """One product per patch; nobody asks for the gradient of the image. Counted with the output."""
    patches = run.model.max_sequence - 1
    product = linear(
        run,
        "patches",
        rows=run.samples * patches / run.shard.context,
        n=run.model.hidden,
        k=_IMAGE_ELEMENTS // patches,
    )
    trained, frozen = run.held(run.model.embedding_parameters)
    return replace(product, backward=(), parameters=trained, frozen_parameters=frozen)


def output_block(run: TransformerPass) -> Block:
    """Return the final norm, and logits and loss of a language model or classes of an image."""
    model = run.model
    norm = run.norm("output.norm")
    head = _language_head(run) if model.vocab else _classes(run)
    trained, frozen = run.held(model.other_parameters)
    others = Part(parameters=trained, frozen_parameters=frozen)
    tied = model.vocab and model.tied_embeddings
    return Block(
        name="output",
        layer=None,
        part=joined([norm, head, others]),
        parameters_of_model=model.output_parameters + model.norm_parameters + model.other_parameters,
        shared_parameters=_table(run) if tied else 0,
        output_bytes=run.output_bytes,
    )


def _language_head(run: TransformerPass) -> Part:
    """Logits over the words of this GPU, and the loss over those of all."""
    model = run.model
    fraction = 1.0 if model.causal else MASKED_FRACTION
    rows = run.tokens * fraction
    words = divided(model.vocab, run.shard.tensor)
    seen = replace(run, samples=run.samples * fraction)
    logits = replace(
        column_linear(seen, "logits", n=words, k=model.hidden, arithmetic=run.precision, pads=True),
        kept_bytes=run.residual_elements * run.element,
    )
    if model.tied_embeddings:
        logits = replace(logits, parameters=0, frozen_parameters=0)
    loss, loss_backward = (
        elementwise(
            name, bytes_moved=rows * words * (run.element + passes * _LOGIT_BYTES), precision=run.precision
        )
        for name, passes in (("loss", _LOSS_PASSES), ("loss.backward", _LOSS_PASSES_BACKWARD))
    )
    sums = (Exchange("tensor", "all_reduce", rows * 4.0),) * _LOSS_SUMS if run.shard.tensor > 1 else ()
    return logits + Part(
        forward=(loss,),
        backward=(loss_backward,),
        kept_bytes=rows * words * _LOGIT_BYTES,
        exchanges=sums,
    )


def _classes(run: TransformerPass) -> Part:
    """The class token of each image; counted with the other parameters."""
    product = linear(
        run, "classes", rows=run.samples, n=_CLASSES, k=run.model.hidden, arithmetic=run.precision
    )
    return replace(product, parameters=0, frozen_parameters=0)
