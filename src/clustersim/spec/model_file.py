"""What a model file may say: a network layer by layer, or the shape of a transformer."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import LIST, FieldError, SpecModel

__all__ = ["LatentSpec", "LayerRowSpec", "ModelFileSpec", "MoeSpec", "TransformerSpec"]

_Count = Annotated[int, Field(ge=1)]
_Least = Annotated[int, Field(ge=0)]


class LayerRowSpec(SpecModel):
    """One layer and what it takes for one sample; elements are numbers, not bytes."""

    name: Annotated[str, Field(min_length=1)]
    """Of the layer, in traces."""
    kind: Literal["conv", "linear", "product", "norm", "add", "pool", "elementwise", "embedding"]
    """What its kernels do; docs/models.md has the list."""
    flops: Annotated[float, Field(ge=0.0, strict=False)] = 0.0
    """Of the forward pass, in FLOP; a multiply-add counts as two."""
    parameters: _Least = 0
    """Trained weights and biases."""
    input_elements: _Count
    """Read; of an addition, both operands."""
    output_elements: _Count
    """Written."""
    gemm: Annotated[tuple[_Count, _Count, _Count], LIST] | None = None
    """Shape (m, n, k) of the matrix product for one sample. Default: of `conv` and `linear` what FLOPs,
    parameters and output say; `product` needs it."""
    repeat: _Count = 1
    """So many of these layers behind each other."""

    @model_validator(mode="after")
    def _has_a_product(self) -> Self:
        if self.kind == "product" and self.gemm is None:
            raise FieldError("is missing; a product of two tensors needs its shape [m, n, k]", "gemm")
        if self.kind in ("conv", "linear") and self.gemm is None and not (self.flops and self.parameters):
            raise FieldError(f"a {self.kind} layer needs 'flops' and 'parameters', or 'gemm'", "kind")
        return self


class MoeSpec(SpecModel):
    """Mixture of experts in place of the feed-forward part."""

    experts: _Count
    """Routed experts per layer."""
    experts_per_token: _Count
    """Routed experts that one token visits."""
    ffn_hidden: _Count
    """Inner width of one expert."""
    shared_experts: _Least = 0
    """Experts that every token visits."""
    groups: _Count = 1
    """Groups that the routed experts are divided into."""
    groups_per_token: _Count = 1
    """Groups that the experts of one token are taken from."""
    dense_layers: _Least = 0
    """First layers that have an ordinary feed-forward part instead."""


class LatentSpec(SpecModel):
    """Multi-head latent attention."""

    q_lora_rank: _Count | None = None
    """Rank of the query projection. Default: a full one."""
    kv_lora_rank: _Count
    """Rank of the compressed keys and values."""
    qk_nope_head_dim: _Count
    """Part of a query head without position."""
    qk_rope_head_dim: _Count
    """Part of a query head with position."""
    v_head_dim: _Count
    """Width of a value head."""


class TransformerSpec(SpecModel):
    """The shape of a transformer."""

    layers: _Count
    """Layers."""
    hidden: _Count
    """Width of the residual stream."""
    heads: _Count
    """Query heads."""
    kv_heads: _Count | None = None
    """Key-value heads. Default: `heads`."""
    head_dim: _Count | None = None
    """Width of a head. Default: hidden / heads."""
    ffn_hidden: _Count
    """Inner width of the feed-forward part."""
    gated_ffn: bool = True
    """Three matrices (SwiGLU, GeGLU) instead of two."""
    vocab: _Least
    """Tokens; 0 for an image encoder."""
    tied_embeddings: bool = False
    """The output projection is the token embedding."""
    max_sequence: _Count
    """Tokens of one sample that the model is made for."""
    positional: Literal["learned", "rope", "alibi", "relative", "none"] = "rope"
    """Positions; only `learned` ones are parameters."""
    causal: bool = True
    """Each token sees those before it only."""
    norm: Literal["layernorm", "rmsnorm"] = "rmsnorm"
    """Normalisation."""
    bias: Literal["none", "qkv", "all"] = "none"
    """Projections with a bias."""
    dropout: bool | None = None
    """Whether training drops out activations. Default: with layernorm."""
    moe: MoeSpec | None = None
    """Mixture of experts."""
    mla: LatentSpec | None = None
    """Latent attention."""
    other_parameters: _Least = 0
    """Counted, but of no layer, embedding or final norm."""


class ModelFileSpec(SpecModel):
    """A model of one's own, to be named as `model: my-model.yaml`."""

    model: Annotated[str, Field(min_length=1)]
    """Its name."""
    source: str = ""
    """Where the numbers are from."""
    unit: Annotated[str, Field(min_length=1)] = "image"
    """What a sample of a layer table is."""
    published_parameters: Annotated[float, Field(gt=0.0, strict=False)] | None = None
    """As its authors state; what is counted has to be within 5 % of it."""
    layers: Annotated[tuple[LayerRowSpec, ...], LIST, Field(min_length=1)] | None = None
    """The network layer by layer. Give `layers` or `transformer`."""
    transformer: TransformerSpec | None = None
    """The shape of a transformer."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.layers is None and self.transformer is None:
            raise ValueError("give 'layers' (a table) or 'transformer' (a shape)")
        if self.layers is not None and self.transformer is not None:
            raise FieldError("give either 'layers' or 'transformer', not both", "transformer")
        return self
