"""The efficiency curve of look-ups: scattered rows, some of them from the device's cache."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.catalog._store import Record, Shelf
from clustersim.catalog.accelerators import Accelerator
from clustersim.cost.operators import Operator, RowShape
from clustersim.cost.roofs import Roofs

__all__ = ["RowCurve", "row_curve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCurve:
    """Kernels that read and write scattered rows: embedding look-ups and their updates.

    *Equation.* t = latency + max(memory bytes / (efficiency·B), cache bytes / (cache_ratio·B)),
    where B is the memory bandwidth, memory bytes are those of `RowShape.memory_bytes`, and all that
    the multiprocessors read and write goes through the last-level cache.

    Parameters
    ----------
    efficiency
        Share of the memory bandwidth at which whole rows come from memory.
    cache_ratio
        Rate of the last-level cache over the memory bandwidth.

    **Valid when** the kernel has many more rows than the device has in flight (some 10,000).
    **Source:** `row_curves.yaml`. **Checked by:** tests/cost/ranking/test_embedding_curve.py.
    """

    latency_s: float
    efficiency: float
    cache_ratio: float

    def roofs(self, operator: Operator, accelerator: Accelerator) -> Roofs:
        """Return the three times of one execution; there is no compute roof."""
        assert isinstance(operator.shape, RowShape)
        bandwidth = accelerator.memory_bandwidth_bytes_per_s
        from_memory_s = operator.shape.memory_bytes / (self.efficiency * bandwidth)
        through_cache_s = operator.shape.cache_bytes / (self.cache_ratio * bandwidth)
        return Roofs(0.0, max(from_memory_s, through_cache_s), self.latency_s)


def _build(record: Record) -> RowCurve:
    fields = record.fields
    return RowCurve(
        latency_s=fields["latency_s"], efficiency=fields["efficiency"], cache_ratio=fields["cache_ratio"]
    )


SHELF: Shelf[RowCurve] = Shelf("row curve", file="row_curves.yaml", build=_build)


def row_curve(curve_set: str) -> RowCurve:
    """Return the curve of a curve set of the catalogue; raise `CatalogError` for an unknown name."""
    return SHELF.get(curve_set)
