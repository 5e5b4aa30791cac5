"""Low-rank adapters beside frozen weights (LoRA, Hu et al., ICLR 2022, arXiv:2106.09685)."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from clustersim.errors import InputError, Problem, did_you_mean

__all__ = ["TARGETS", "Adapters"]

TARGETS = (
    "qkv",
    "projection",
    "up",
    "down",
    "query",
    "query_compress",
    "query_expand",
    "kv_compress",
    "kv_expand",
    "shared.up",
    "shared.down",
    "router",
    "logits",
)
"""Linear layers that can have an adapter, by the name of their kernel: `up` and `down` are those of the
dense part and of every expert, `shared` those of shared experts, `query`, `_compress` and `_expand` of
latent attention."""

_OF_FUSED = MappingProxyType(
    {
        "q_proj": ("qkv", "query"),
        "k_proj": ("qkv", "key_value"),
        "v_proj": ("qkv", "key_value"),
        "o_proj": ("projection", "whole"),
        "gate_proj": ("up", "gate"),
        "up_proj": ("up", "inner"),
        "down_proj": ("down", "whole"),
    }
)
"""The same layers as Hugging Face names them, where what is fused here has matrices of its own, and so
adapters of their own: the kernel, and which part of its outputs."""


@dataclass(frozen=True, kw_only=True)
class Adapters:
    """What is trained in place of the weights: W·x + B·A·x with A of `rank` rows.

    Parameters
    ----------
    rank
        Inner width of an adapter.
    targets
        Layers that have one, of `TARGETS`, or `q_proj`, `k_proj`, `v_proj`, `o_proj`, `gate_proj`,
        `up_proj` and `down_proj` as PEFT has them. Those that a model does not have are left out.

    Raises
    ------
    InputError
        For a layer that no model has, and a rank below 1.

    **Valid when** adapters stay 16-bit, and sums of the narrow side over a tensor group are small.
    **Source:** Hu et al., ICLR 2022; Megatron-Bridge puts them on qkv, projection, up and down; Hugging
    Face PEFT on matrices that are not fused.
    **Checked by:** tests/cost/test_adapters.py.
    """

    rank: int = 16
    targets: tuple[str, ...] = ("qkv", "projection", "up", "down")

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise InputError(Problem(("rank",), f"{self.rank}; an adapter has a rank of 1 at least"))
        names = (*TARGETS, *_OF_FUSED)
        for target in self.targets:
            if target not in names:
                hint = did_you_mean(target, names)
                raise InputError(Problem(("targets",), f"no linear layer is called '{target}'.{hint}"))
            kernel = _OF_FUSED[target][0] if target in _OF_FUSED else ""
            if kernel in self.targets or self.targets.count(target) > 1:
                message = f"'{target}' would get two adapters: leave it, or '{kernel or target}', out"
                raise InputError(Problem(("targets",), message))

    def widths(self, kernel: str, *, outputs: float, heads: int, kv_heads: int, gated: bool) -> list[float]:
        """Return the outputs of each adapter beside a kernel with `outputs` of them on this GPU.

        Parameters
        ----------
        heads, kv_heads
            On this GPU: how many of the fused outputs are queries, keys and values.
        gated
            Whether `up` has a gate beside it.
        """
        if kernel in self.targets:
            return [outputs]
        parts = {
            "query": heads / (heads + 2 * kv_heads),
            "key_value": kv_heads / (heads + 2 * kv_heads),
            "whole": 1.0,
            "gate": 0.5 if gated else 0.0,
            "inner": 0.5 if gated else 1.0,
        }
        own = [_OF_FUSED[target] for target in self.targets if target in _OF_FUSED]
        return [outputs * parts[part] for fused, part in own if fused == kernel and parts[part]]
