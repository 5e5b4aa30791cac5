"""One micro-batch of a transformer on one GPU: the sizes and kernels that its blocks have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clustersim.catalog.models import TransformerModel
from clustersim.cost.operators import MemoryKind, Operator, element_bytes, elementwise
from clustersim.cost.training.adapters import Adapters
from clustersim.cost.training.block import Exchange, Operators, Part, repeated
from clustersim.cost.training.shard import WHOLE, Shard

__all__ = ["Attention", "Captured", "Module", "TransformerPass", "divided"]

Attention = Literal["fused", "flash-2", "triton", "unfused"]
"""`fused`: one kernel that never writes the matrix of probabilities, the best of the GPU; `flash-2`:
FlashAttention-2 (Dao, 2023), which is that until Ampere; `triton`: that of the first FlashAttention (Dao et
al., NeurIPS 2022) in Triton;
`unfused`: products, softmax and dropout one by one."""

Module = Literal["norms", "expert_activation", "latent_projections", "feed_forward"]
"""Modules that Megatron-LM recomputes by name: `layernorm`, `moe_act`, `mla_up_proj`, `mlp`."""

Captured = Literal["attention", "routing", "experts"]
"""Parts of layers that frameworks capture in CUDA graphs."""

DROPOUT_MASK_BYTES = 1


@dataclass(frozen=True, kw_only=True)
class TransformerPass:
    """One micro-batch on one GPU.

    Parameters
    ----------
    samples, sequence
        Of the whole micro-batch, before it is divided.
    arithmetic
        Precision of the linear layers of attention and feed-forward parts.
    fp8_promotion
        Of the device: see `clustersim.catalog.Accelerator`.
    hopper
        Whether the device is an NVIDIA GPU of Hopper or later, whose tensor cores want asynchronous kernels.
    gradient_bytes
        Of one element in the buffer that gradients of weights are added up in.
    adapters
        Low-rank adapters beside frozen weights; None trains the weights.
    modules
        Modules whose results are dropped in the forward pass and computed again in the backward pass.
    captured
        Parts of layers whose kernels the host replays as one.
    """

    model: TransformerModel
    samples: float
    sequence: int
    arithmetic: str
    attention: Attention
    shard: Shard = WHOLE
    gradient_bytes: float = 2.0
    fp8_promotion: float = 1.0
    hopper: bool = False
    adapters: Adapters | None = None
    modules: frozenset[Module] = frozenset()
    captured: frozenset[Captured] = frozenset()

    @property
    def precision(self) -> str:
        """Of everything but the linear layers: bf16 where these are fp8."""
        return "bf16" if self.arithmetic == "fp8" else self.arithmetic

    @property
    def element(self) -> int:
        """Bytes of one activation."""
        return element_bytes(self.precision)

    @property
    def tokens(self) -> float:
        """Tokens that linear layers divided by tensor parallelism see."""
        return self.samples * self.sequence / self.shard.context

    @property
    def residual_tokens(self) -> float:
        """Tokens that this GPU has in the residual stream: norms, dropout, additions."""
        return self.samples * self.sequence / self.shard.residual_parts

    @property
    def residual_elements(self) -> float:
        """Elements of the residual stream on this GPU."""
        return self.residual_tokens * self.model.hidden

    @property
    def output_bytes(self) -> float:
        """The hidden state as this GPU sends it to the next pipeline stage: its part of it."""
        return self.tokens * self.model.hidden * self.element / self.shard.tensor

    @property
    def heads(self) -> int:
        """Query heads of this GPU."""
        return divided(self.model.heads, self.shard.tensor)

    @property
    def kv_heads(self) -> int:
        """Key-value heads of this GPU; with more GPUs than heads each keeps one."""
        return divided(self.model.kv_heads, self.shard.tensor)

    @property
    def has_dropout(self) -> bool:
        """Whether the model is trained with dropout."""
        known = self.model.dropout
        return self.model.norm == "layernorm" if known is None else known

    def held(self, parameters: int) -> tuple[int, int]:
        """Return parameters of this GPU as those trained and those frozen beside adapters."""
        return (parameters, 0) if self.adapters is None else (0, parameters)

    def memory(self, name: str, elements: float, *, mask: float = 0.0) -> Operator:
        """Return a memory-bound kernel that moves `elements`, and dropout masks of so many."""
        size_bytes = elements * self.element + mask * DROPOUT_MASK_BYTES
        return elementwise(name, bytes_moved=size_bytes, precision=self.precision)

    def rows(self, name: str, elements: float) -> Operator:
        """Return a kernel that reduces along rows (norm, softmax) and moves `elements`.

        Decoders have the fused kernels of Megatron-LM, encoders those of PyTorch, as the scripts that
        train them (NVIDIA DeepLearningExamples).
        """
        kind: MemoryKind = "fused_norm" if self.model.causal else "norm"
        return elementwise(name, kind=kind, bytes_moved=elements * self.element, precision=self.precision)

    def norm(self, name: str, *, width: int | None = None, parameters: int | None = None) -> Part:
        """Return a normalisation of the residual stream, or of `width` elements per token beside it.

        It keeps its input. Backward it moves it five times: three for the gradient of the input,
        two for that of its weights.
        """
        elements = self.residual_tokens * (self.model.hidden if width is None else width)
        trained, frozen = self.held(self.model.norm_parameters if parameters is None else parameters)
        return Part(
            forward=(self.rows(name, 2 * elements),),
            backward=(self.rows(f"{name}.backward", 5 * elements),),
            kept_bytes=elements * self.element,
            parameters=trained,
            frozen_parameters=frozen,
        )

    def block_norm(self, name: str, *, precision: str | None = None) -> Part:
        """Return the norm at the start of a block; recomputed, its result is not kept for the product behind.

        `precision` is that of the product; None takes that of the linear layers.
        """
        norm = self.norm(name)
        if "norms" not in self.modules:
            return norm
        size = 1 if (precision or self.arithmetic) == "fp8" else self.element
        return repeated(norm, norm.forward, self.residual_elements * size)

    def residual(self, name: str) -> Part:
        """Return dropout, where there is any, and the addition to the residual stream, as one kernel."""
        elements = self.residual_elements
        mask = elements if self.has_dropout else 0.0
        # Backward: dropout's gradient, and the two gradients that meet at the branch are added.
        moved_backward = (5 if self.has_dropout else 3) * elements
        return Part(
            forward=(self.memory(name, 3 * elements, mask=mask),),
            backward=(self.memory(f"{name}.backward", moved_backward, mask=mask),),
            kept_bytes=mask * DROPOUT_MASK_BYTES,
        )

    def gathered(
        self,
        collective: str,
        *,
        width: float | None = None,
        beside: Operators = (),
        asynchronous: Operators = (),
        beside_weights: bool = False,
    ) -> tuple[Exchange, ...]:
        """Return a collective of the tensor group over the whole of its tokens; none for one GPU.

        The other arguments are those of `Exchange`.
        """
        if self.shard.tensor == 1:
            return ()
        size_bytes = self.tokens * (self.model.hidden if width is None else width) * self.element
        return (Exchange("tensor", collective, size_bytes, beside, asynchronous, beside_weights),)


def divided(count: int, parts: int) -> int:
    """Return the largest share of `count` things in so many parts."""
    return -(-count // parts)
