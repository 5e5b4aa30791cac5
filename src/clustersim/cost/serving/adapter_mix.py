"""Low-rank adapters of many variants of one model, served together (S-LoRA, Punica)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clustersim.catalog.models import TransformerModel
from clustersim.cost.operators import ELEMENT_BYTES, Operator, elementwise

__all__ = ["AdapterMix"]

_KERNELS_PER_MATRIX = 2
"""Down to the rank and up from it: `shrink` and `expand` of Punica's SGMV."""


@dataclass(frozen=True)
class AdapterMix:
    """Adapters on all matrices of the layers, and how often requests ask for each.

    *Equation.* With popularity p_i ~ 1/i^skew, the n requests of a step ask for
    Σ_i 1 − (1 − p_i)^n adapters in the mean. A matrix h×w adds 2·r·(h + w) FLOPs per token; each adapter
    in the step has its r·(h + w) elements read once.

    Parameters
    ----------
    count, rank, resident
        Adapters, their inner width, and how many GPU memory holds.
    skew
        Exponent of Zipf's law.
    swap_bytes_per_s
        Rate at which a GPU fetches an adapter from host memory.

    **Valid when** each request asks for one adapter whatever the others do; the most popular ones are
    resident; fetching is not hidden behind computation (as in vLLM; S-LoRA prefetches).
    **Source:** Sheng et al., S-LoRA, arXiv:2311.03285; Chen et al., Punica, arXiv:2310.18547.
    **Checked by:** tests/cost/test_adapter_mix.py.
    """

    count: int
    rank: int
    resident: int
    skew: float
    swap_bytes_per_s: float

    @cached_property
    def popularity(self) -> np.ndarray:
        """Share of requests of each adapter, the most popular first."""
        weights = np.arange(1, self.count + 1, dtype=float) ** -self.skew
        return np.asarray(weights / weights.sum())

    @property
    def miss_chance(self) -> float:
        """Chance that the adapter of a request is not resident."""
        return float(max(0.0, 1.0 - self.popularity[: self.resident].sum()))

    def distinct(self, requests: float) -> float:
        """Return how many adapters so many requests ask for, in the mean."""
        return float((1.0 - (1.0 - self.popularity) ** requests).sum())

    def layer_bytes(self, model: TransformerModel, *, precision: str, tensor: int) -> float:
        """Return the bytes of one adapter in one layer, on one GPU."""
        elements = sum(rows + columns for rows, columns in self._matrices(model))
        return self.rank * elements * ELEMENT_BYTES[precision] / tensor

    def layer_operators(
        self, model: TransformerModel, *, tokens: float, requests: float, precision: str, tensor: int
    ) -> list[Operator]:
        """Return what adapters add to one layer on one GPU: two kernels per matrix."""
        size, distinct = ELEMENT_BYTES[precision], self.distinct(requests)
        operators = []
        for rows, columns in self._matrices(model):
            weights = distinct * self.rank * (rows + columns)
            rests = tokens * (rows + 2 * columns + 2 * self.rank * tensor)
            operators.append(
                elementwise(
                    "lora",
                    bytes_moved=(weights + rests) * size / (_KERNELS_PER_MATRIX * tensor),
                    flops=2.0 * tokens * self.rank * (rows + columns) / (_KERNELS_PER_MATRIX * tensor),
                    precision=precision,
                    count=_KERNELS_PER_MATRIX,
                )
            )
        return operators

    def swap_s(self, adapter_bytes: float, *, prompts: int) -> float:
        """Return how long a step waits for adapters of so many new requests, in the mean."""
        return prompts * self.miss_chance * adapter_bytes / self.swap_bytes_per_s

    @staticmethod
    def _matrices(model: TransformerModel) -> tuple[tuple[int, int], ...]:
        """Rows and columns of the matrices that have adapters: projections and the feed-forward part."""
        query, key_value = model.heads * model.head_dim, model.kv_heads * model.head_dim
        matrices = 2 if model.gated_ffn else 1
        moe = model.moe
        width = moe.ffn_hidden * (moe.experts_per_token + moe.shared_experts) if moe else model.ffn_hidden
        return (
            (model.hidden, query + 2 * key_value),
            (query, model.hidden),
            (model.hidden, matrices * width),
            (width, model.hidden),
        )
