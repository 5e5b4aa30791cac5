"""Transformer models: the shape of the network and what follows from it by counting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from math import comb, prod
from types import MappingProxyType
from typing import Any, Literal

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.catalog.layer_tables import LayerTableModel, residual_network

__all__ = ["SHELF", "MlaConfig", "MoeConfig", "TransformerModel"]


@dataclass(frozen=True, kw_only=True)
class MoeConfig:
    """Mixture of experts in the feed-forward part: each token visits some of the experts."""

    experts: int
    """Routed experts per layer."""
    experts_per_token: int
    """Routed experts that one token visits."""
    ffn_hidden: int
    """Inner width of one expert."""
    shared_experts: int = 0
    """Experts that every token visits."""
    groups: int = 1
    """Groups that the routed experts are divided into."""
    groups_per_token: int = 1
    """Groups that the experts of one token are taken from."""
    dense_layers: int = 0
    """First layers that have an ordinary feed-forward part instead."""

    def visit_chance(self, held: float) -> float:
        """Return the chance that a token visits any of `held` experts, all being equally likely.

        *Equation.* ``1 - C(E - held, k) / C(E, k)`` for E experts of which it visits k. Where these are
        taken from M of G groups, E and `held` are what of them is in M groups drawn at random.

        **Valid when** those experts are some of one group, or whole groups.
        **Checked by:** tests/collectives/test_token_exchange.py, by counting choices.
        """
        group = self.experts / self.groups
        drawn, whole = self.groups_per_token, max(1, round(held / group))
        ways = comb(self.groups, drawn)
        return sum(
            comb(whole, met)
            * comb(self.groups - whole, drawn - met)
            / ways
            * self._met(met * min(held, group))
            for met in range(1, min(whole, drawn) + 1)
        )

    def _met(self, held: float) -> float:
        """Return the same for experts that all can be visited."""
        left = self.experts * self.groups_per_token / self.groups
        return 1.0 - prod(
            max(0.0, left - held - place) / (left - place) for place in range(self.experts_per_token)
        )


@dataclass(frozen=True, kw_only=True)
class MlaConfig:
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): a compressed KV cache."""

    q_lora_rank: int | None
    """Rank of the query projection; None for a full one."""
    kv_lora_rank: int
    """Rank of the compressed keys and values: what the cache keeps."""
    qk_nope_head_dim: int
    """Part of a query head without position."""
    qk_rope_head_dim: int
    """Part of a query head with position; its key is shared by all heads and cached."""
    v_head_dim: int
    """Width of a value head."""


@dataclass(frozen=True, kw_only=True)
class TransformerModel:
    """The shape of a transformer: enough to count parameters, operations and bytes.

    Parameters
    ----------
    hidden, ffn_hidden, head_dim
        Widths in elements.
    heads, kv_heads
        Query heads and key-value heads (grouped-query attention where fewer).
    gated_ffn
        Three matrices (SwiGLU, GeGLU) instead of two.
    vocab
        Tokens; 0 where there is no token embedding (ViT).
    max_sequence
        Tokens of one sample that the model was made for.
    bias
        Which projections have one.
    dropout
        Whether training drops out activations; None: as models with layer norm did (GPT-2, GPT-3, BERT,
        ViT: 0.1), and those with root-mean-square norm did not (Llama and what came after it).
    other_parameters
        Counted, but not part of a layer, embedding or final norm: pooler, patch
        projection, token types, relative positions.
    published_parameters
        As its authors state, for comparison.

    **Valid when** all layers are alike, except for the first `moe.dense_layers`; sliding
    windows and sparse attention patterns are taken as full attention.
    **Checked by:** tests/catalog/test_models.py against published counts.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn_hidden: int
    gated_ffn: bool
    vocab: int
    tied_embeddings: bool
    max_sequence: int
    positional: Literal["learned", "rope", "alibi", "relative", "none"]
    causal: bool = True
    norm: Literal["layernorm", "rmsnorm"] = "rmsnorm"
    bias: Literal["none", "qkv", "all"] = "none"
    dropout: bool | None = None
    moe: MoeConfig | None = None
    mla: MlaConfig | None = None
    other_parameters: int = 0
    published_parameters: float | None = None
    sources: Mapping[str, Source] = field(default_factory=dict, compare=False, hash=False)

    @property
    def source(self) -> Source:
        """Where the shape comes from."""
        return self.sources["all"]

    @property
    def norm_parameters(self) -> int:
        """Parameters of one normalisation."""
        return self.hidden * (2 if self.norm == "layernorm" else 1)

    @property
    def attention_parameters(self) -> int:
        """Parameters of the attention projections of one layer, with biases."""
        if self.mla is not None:
            return _mla_parameters(self.hidden, self.heads, self.mla)
        q_width, kv_width = self.heads * self.head_dim, self.kv_heads * self.head_dim
        weights = self.hidden * (2 * q_width + 2 * kv_width)
        biases = {"none": 0, "qkv": q_width + 2 * kv_width, "all": q_width + 2 * kv_width + self.hidden}
        return weights + biases[self.bias]

    @property
    def dense_ffn_parameters(self) -> int:
        """Parameters of the ordinary feed-forward part of one layer, with biases."""
        matrices = 3 if self.gated_ffn else 2
        biases = (matrices - 1) * self.ffn_hidden + self.hidden if self.bias == "all" else 0
        return matrices * self.hidden * self.ffn_hidden + biases

    def ffn_parameters(self, layer: int, *, active: bool = False) -> int:
        """Parameters of the feed-forward part of a layer; `active`: those one token meets."""
        moe = self.moe
        if moe is None or layer < moe.dense_layers:
            return self.dense_ffn_parameters
        expert = (3 if self.gated_ffn else 2) * self.hidden * moe.ffn_hidden
        routed = moe.experts_per_token if active else moe.experts
        return self.hidden * moe.experts + (routed + moe.shared_experts) * expert

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer; of a mixture-of-experts layer where there are two kinds."""
        return self.attention_parameters + self.ffn_parameters(self.layers - 1) + 2 * self.norm_parameters

    @cached_property
    def layer_parameter_counts(self) -> tuple[int, ...]:
        """Parameters of each layer, from first to last."""
        common = self.attention_parameters + 2 * self.norm_parameters
        return tuple(common + self.ffn_parameters(layer) for layer in range(self.layers))

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the token embedding and of learned positions."""
        positions = self.max_sequence if self.positional == "learned" else 0
        return (self.vocab + positions) * self.hidden

    @property
    def output_parameters(self) -> int:
        """Parameters of the output projection that are not shared with the embedding."""
        return 0 if self.tied_embeddings else self.vocab * self.hidden

    @property
    def _outside_layers(self) -> int:
        return (
            self.embedding_parameters + self.output_parameters + self.norm_parameters + self.other_parameters
        )

    @property
    def parameters(self) -> int:
        """All parameters."""
        return sum(self.layer_parameter_counts) + self._outside_layers

    @property
    def active_parameters(self) -> int:
        """Parameters that one token meets; fewer than all only with a mixture of experts."""
        common = self.attention_parameters + 2 * self.norm_parameters
        ffn = sum(self.ffn_parameters(layer, active=True) for layer in range(self.layers))
        return self.layers * common + ffn + self._outside_layers

    @property
    def kv_elements_per_token(self) -> int:
        """Elements that the KV cache keeps per token, all layers together.

        *Equation:* 2·layers·kv_heads·head_dim; layers·(kv_lora_rank + qk_rope_head_dim)
        with latent attention.
        """
        if self.mla is not None:
            return self.layers * (self.mla.kv_lora_rank + self.mla.qk_rope_head_dim)
        return 2 * self.layers * self.kv_heads * self.head_dim

    def kv_bytes_per_token(self, bytes_per_element: float) -> float:
        """Bytes of KV cache per token, all layers and all GPUs together."""
        return self.kv_elements_per_token * bytes_per_element


def _mla_parameters(hidden: int, heads: int, mla: MlaConfig) -> int:
    q_width = heads * (mla.qk_nope_head_dim + mla.qk_rope_head_dim)
    rank = mla.q_lora_rank
    query = hidden * q_width if rank is None else hidden * rank + rank + rank * q_width
    compress = hidden * (mla.kv_lora_rank + mla.qk_rope_head_dim) + mla.kv_lora_rank
    expand = mla.kv_lora_rank * heads * (mla.qk_nope_head_dim + mla.v_head_dim)
    return query + compress + expand + heads * mla.v_head_dim * hidden


_SHAPE = {spec.name for spec in fields(TransformerModel)} - {"name", "sources", "moe", "mla"}


def _build(record: Record) -> TransformerModel | LayerTableModel:
    entry = record.fields
    if "residual_depth" in entry:
        return residual_network(
            record.name,
            depth=entry["residual_depth"],
            published_parameters=entry["published_parameters"],
            sources=record.sources,
        )
    shape: dict[str, Any] = {key: value for key, value in entry.items() if key in _SHAPE}
    shape.setdefault("kv_heads", entry["heads"])
    shape.setdefault("head_dim", entry["hidden"] // entry["heads"])
    return TransformerModel(
        name=record.name,
        **shape,
        moe=MoeConfig(**entry["moe"]) if "moe" in entry else None,
        mla=MlaConfig(**entry["mla"]) if "mla" in entry else None,
        sources=MappingProxyType(dict(record.sources)),
    )


SHELF: Shelf[TransformerModel | LayerTableModel] = Shelf("model", file="models.yaml", build=_build)
