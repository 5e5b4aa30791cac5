"""The iteration time that a published row states, or that its numbers amount to."""

from __future__ import annotations

import re
from typing import NamedTuple

from clustersim.catalog.models import TransformerModel
from clustersim.errors import InputError
from clustersim.study.validation.training.row import TrainingRow

__all__ = ["Measured", "iteration_time", "megatron_flops", "model_flops"]

_PASSES = {"model": 3, "hardware": 4}
"""Forward passes that an iteration is worth: a backward pass is two, full recomputation one more."""


class Measured(NamedTuple):
    """Seconds of one iteration, and how the row states them."""

    seconds: float
    basis: str


def iteration_time(row: TrainingRow, model: TransformerModel, *, peak_flops: float) -> Measured:
    """Return the measured time of an iteration.

    Taken are, in this order, the time itself, tokens/s, samples/s, FLOP/s, and MFU or HFU of the peak.
    FLOP/s are turned back into time only where the source says what it counts: by Megatron-LM's
    formula for its models of the GPT family, else by `model_flops`.

    Raises
    ------
    InputError
        If none of these is given.
    """
    if row.iteration_s is not None:
        return Measured(row.iteration_s, "iteration time")
    if row.global_batch is None:
        raise InputError("the global batch is not given")
    if row.tokens_per_s is not None and row.sequence is not None:
        return Measured(row.global_batch * row.sequence / row.tokens_per_s, "tokens/s")
    if row.samples_per_s is not None:
        return Measured(row.global_batch / row.samples_per_s, "samples/s")
    kind, flops_per_s = _rate(row, row.peak_flops or peak_flops)
    flops, formula = _flops(row, model, kind)
    return Measured(flops / (row.gpus * flops_per_s), f"{kind} FLOP/s by {formula}")


def _rate(row: TrainingRow, peak_flops: float) -> tuple[str, float]:
    """`model` or `hardware`, and FLOP/s of a GPU counted so."""
    kind = re.search(r"\b(model|hardware)\b", row.flops_kind, re.IGNORECASE)
    if row.tflops_per_gpu is not None and kind:
        return kind[1].lower(), row.tflops_per_gpu * 1e12
    if row.model_utilisation is not None:
        return "model", row.model_utilisation * peak_flops
    if row.hardware_utilisation is not None:
        return "hardware", row.hardware_utilisation * peak_flops
    raise InputError(
        "neither iteration time nor tokens/s is given, nor FLOP/s of a known formula "
        "('tflops_kind' says neither model nor hardware FLOPs)"
    )


def _flops(row: TrainingRow, model: TransformerModel, kind: str) -> tuple[float, str]:
    """FLOPs of an iteration, and whose formula that is."""
    megatron = "megatron" in f"{row.framework} {row.flops_kind}".lower()
    if megatron and model.moe is None and not model.gated_ffn:
        return megatron_flops(row, model, forwards=_PASSES[kind]), "Megatron-LM's formula"
    causal = "causal" in row.flops_kind.lower()
    flops = model_flops(row, model, forwards=_PASSES[kind], causal=causal)
    return flops, "2N and attention per token and pass"


def megatron_flops(row: TrainingRow, model: TransformerModel, *, forwards: int) -> float:
    """Return the FLOPs of an iteration as Megatron-LM prints them for the GPT family.

    *Equation.* F·B·s·l·h²·(1 + s/6h + V/(c·l·h)): F is 24 for each of `forwards` passes (a backward pass
    is two), so 96 with full recomputation and 72 without; the output layer is never recomputed,
    so c is 16 or 12.

    **Source:** Narayanan et al., SC21 (arXiv:2104.04473), appendix; Megatron-LM,
    `num_floating_point_operations`.
    **Checked by:** tests/study/test_validation_training.py.
    """
    if model.moe is not None or model.gated_ffn or row.global_batch is None or row.sequence is None:
        raise InputError("its FLOP/s cannot be turned back into time: the formula is that of GPT models")
    layers, hidden, vocab = model.layers, model.hidden, row.vocab or model.vocab
    per_layer = 24 * forwards * row.global_batch * row.sequence * layers * hidden**2
    ends = vocab / (4 * forwards * layers * hidden)
    return per_layer * (1 + row.sequence / (6 * hidden) + ends)


def model_flops(row: TrainingRow, model: TransformerModel, *, forwards: int, causal: bool = False) -> float:
    """Return the FLOPs of an iteration as they are counted for MFU.

    *Equation.* F·B·s·(2·N + 4·l·s·d): N are the parameters that a token passes, without the embedding
    table, d the width of all heads; a causal mask counts half of the attention where `causal`.

    **Source:** Chowdhery et al., PaLM (arXiv:2204.02311), appendix B: 6N + 12·L·H·Q·T per token.
    **Checked by:** tests/study/test_validation_training.py.
    """
    if row.global_batch is None or row.sequence is None:
        raise InputError("its FLOP/s cannot be turned back into time without batch and sequence length")
    passed = model.active_parameters - (0 if model.tied_embeddings else model.embedding_parameters)
    pairs = 4 * model.layers * row.sequence * model.heads * model.head_dim * (0.5 if causal else 1.0)
    return forwards * row.global_batch * row.sequence * (2 * passed + pairs)
