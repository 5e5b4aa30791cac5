"""Low-rank adapters beside frozen weights (LoRA, Hu et al., ICLR 2022, arXiv:2106.09685)."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, kw_only=True)
class Adapters:
    """What is trained in place of the weights: W·x + B·A·x with A of `rank` rows.

    Parameters
    ----------
    rank
        Inner width of an adapter.
    targets
        Layers that have one, of `TARGETS`. Those that a model does not have are left out.

    Raises
    ------
    InputError
        For a layer that no model has, and a rank below 1.

    **Valid when** adapters stay 16-bit, and sums of the narrow side over a tensor group are small.
    **Source:** Hu et al., ICLR 2022; Megatron-Bridge puts them on qkv, projection, up and down.
    **Checked by:** tests/cost/test_adapters.py.
    """

    rank: int = 16
    targets: tuple[str, ...] = ("qkv", "projection", "up", "down")

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise InputError(Problem(("rank",), f"{self.rank}; an adapter has a rank of 1 at least"))
        for target in self.targets:
            if target not in TARGETS:
                hint = did_you_mean(target, TARGETS)
                raise InputError(Problem(("targets",), f"no linear layer is called '{target}'.{hint}"))
