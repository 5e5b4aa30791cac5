"""The iteration time that a published row states, or that its numbers amount to."""

from __future__ import annotations

from typing import NamedTuple

from clustersim.catalog.models import TransformerModel
from clustersim.errors import InputError
from clustersim.study.validation.training_row import TrainingRow

__all__ = ["Measured", "iteration_time", "megatron_flops"]


class Measured(NamedTuple):
    """Seconds of one iteration, and how the row states them."""

    seconds: float
    basis: str


def iteration_time(row: TrainingRow, model: TransformerModel) -> Measured:
    """Return the measured time of an iteration.

    Taken are, in this order, the time itself, tokens/s and samples/s. FLOP/s alone are turned back into time
    only where the source's formula is known: that of Megatron-LM, for models of the GPT family.

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
    kind = row.flops_kind.lower()
    if row.tflops_per_gpu is None or "megatron" not in row.framework.lower() or "flops" not in kind:
        raise InputError("neither iteration time nor tokens/s is given, nor FLOP/s of a known formula")
    forwards = 4 if "hardware" in kind else 3
    flops = megatron_flops(row, model, forwards=forwards)
    return Measured(flops / (row.gpus * row.tflops_per_gpu * 1e12), "FLOP/s by Megatron-LM's formula")


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
