"""FLOPs of a training step by the conventions in which MFU and HFU are published."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from clustersim.cost.training.block import Block

__all__ = ["Recompute", "StepFlops", "megatron_flops", "step_flops"]

Recompute = Literal["none", "selective", "full"]


@dataclass(frozen=True, kw_only=True)
class StepFlops:
    """FLOPs per sample of a forward and backward pass of the whole model.

    Parameters
    ----------
    products, weight_gradients
        Linear layers forward, and the products for the gradients of their weights: equal,
        unless weights are frozen.
    pairs
        Attention between queries and keys forward, over all pairs of tokens.
    recomputed
        Forward FLOPs that are repeated in the backward pass, over all pairs.
    causal
        Whether half of the pairs are masked.

    *Equation:* model FLOPs = 2·products + weight_gradients + 3·pairs, which is three forward
    passes; hardware FLOPs add what is recomputed. `full` counts masked pairs as well, as
    Narayanan et al. (SC21), Korthikanti et al. (2022) and PaLM's appendix B do; `half` does not,
    as FlashAttention's and MosaicML's later tables do.
    """

    products: float
    weight_gradients: float
    pairs: float
    recomputed: float
    causal: bool

    @property
    def model(self) -> float:
        """Model FLOPs, attention over all pairs."""
        return 2.0 * self.products + self.weight_gradients + 3.0 * self.pairs

    @property
    def model_without_masked(self) -> float:
        """Model FLOPs, attention over the pairs that the mask leaves."""
        return self.model - (1.5 * self.pairs if self.causal else 0.0)

    @property
    def hardware(self) -> float:
        """Hardware FLOPs, attention over all pairs; what fused attention recomputes itself is not counted."""
        return self.model + self.recomputed

    @property
    def hardware_without_masked(self) -> float:
        """Hardware FLOPs, attention over the pairs that the mask leaves, in what is recomputed too."""
        repeated = min(self.pairs, self.recomputed)  # with `selective` that is all there is
        return self.model_without_masked + self.recomputed - (0.5 * repeated if self.causal else 0.0)


def step_flops(blocks: Iterable[Block], *, recompute: Recompute, causal: bool) -> StepFlops:
    """Add up the undivided blocks of one sample.

    `selective` repeats the products of queries with keys and of probabilities with values; fused
    attention does so inside its backward pass, which no convention counts.
    """
    blocks = tuple(blocks)
    return StepFlops(
        products=sum(block.part.flops for block in blocks),
        weight_gradients=sum(operator.flops for block in blocks for operator in block.part.weight),
        pairs=sum(block.pair_flops for block in blocks),
        recomputed=sum(_recomputed(block, recompute) for block in blocks),
        causal=causal,
    )


def _recomputed(block: Block, recompute: Recompute) -> float:
    if recompute == "full" and block.layer is not None:
        return block.forward_flops
    modules = sum(operator.flops for operator in block.part.again)
    if recompute == "selective":
        return modules + sum(operator.flops for operator in block.pairs.forward)
    return modules


def megatron_flops(*, batch: int, sequence: int, layers: int, hidden: int, vocab: int) -> float:
    """Return hardware FLOPs of a GPT step with full recomputation.

    *Equation:* 96·B·s·l·h²·(1 + s/6h + V/16lh).
    **Source:** Narayanan et al., SC21 (arXiv:2104.04473), equation 3.
    **Checked by:** tests/cost/test_training_flops.py: the sum over the blocks of a GPT, whose logits
    are not recomputed.
    """
    shape = 1.0 + sequence / (6.0 * hidden) + vocab / (16.0 * layers * hidden)
    return 96.0 * batch * sequence * layers * hidden**2 * shape
