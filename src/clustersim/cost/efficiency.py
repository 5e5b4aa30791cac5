"""Efficiency curves: what share of its peaks a device reaches, by kind and shape of kernel.

Each curve turns an operator into three times: what the arithmetic takes, what the memory
traffic takes, and a fixed latency (filling and draining the device). The parameters lie in
`catalog/data/efficiency.yaml`, fitted by `tools/fit_efficiency.py` on measured kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.device_files import file_version, is_device_file, read_device_file
from clustersim.cost.attention_curves import AttentionWork, DecodeAttentionCurve, PrefillAttentionCurve
from clustersim.cost.gemm_curve import GemmCurve
from clustersim.cost.operators import AttentionShape, Operator
from clustersim.cost.roofs import Curve, Roofs
from clustersim.cost.row_curve import RowCurve, row_curve
from clustersim.errors import CatalogError, InputError, did_you_mean

__all__ = [
    "AttentionWork",
    "CurveSet",
    "DecodeAttentionCurve",
    "GemmCurve",
    "MemoryCurve",
    "PrefillAttentionCurve",
    "Roofs",
    "RowCurve",
    "curve_set",
]


_ALIGNED: Mapping[int, float] = MappingProxyType({})
"""Nothing is known to be slower for the rows that its matrices have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCurve:
    """Memory-bound kernels: norms, activations, residual additions, embeddings, optimizers.

    *Equation:* t = latency + bytes / (efficiency·bandwidth).
    **Valid when** operands come from device memory, not from a cache.
    """

    latency_s: float
    efficiency: float

    def roofs(self, operator: Operator, accelerator: Accelerator) -> Roofs:
        """Return the three times of one execution; there is no compute roof."""
        rate = self.efficiency * accelerator.memory_bandwidth_bytes_per_s
        return Roofs(0.0, operator.bytes_moved / rate, self.latency_s)


@dataclass(frozen=True)
class CurveSet:
    """The curves of one device family.

    Parameters
    ----------
    gemm
        By precision; convolutions use it too, as implicit matrix products.
    expert_gemm
        By precision: the products of all experts in the one kernel of a serving engine, which pads rows.
    prefill_attention, backward_attention
        Fused attention of many queries, for any precision, and its backward pass.
    grouped_decode, plain_decode
        Decode attention with fewer key-value heads than heads, and with as many.
    memory
        Everything that memory bounds, by kind of operator.
    sources
        Curve (`gemm.bf16`, `memory`, …) to source.
    rows
        Look-ups in embedding tables and their updates; None (a device file without them): as the
        device's copies, nothing from its cache.
    """

    name: str
    gemm: Mapping[str, GemmCurve]
    expert_gemm: Mapping[str, GemmCurve]
    prefill_attention: PrefillAttentionCurve
    backward_attention: PrefillAttentionCurve
    grouped_decode: DecodeAttentionCurve
    plain_decode: DecodeAttentionCurve
    memory: Mapping[str, MemoryCurve]
    sources: Mapping[str, Source]
    rows: RowCurve | None = None

    def curve(self, operator: Operator) -> Curve:
        """Return the curve for an operator.

        Raises
        ------
        CatalogError
            If there is no curve for its precision.
        """
        kind = operator.kind
        if kind in ("gemm", "conv"):
            return self._product(self.gemm, operator.precision)
        if kind == "expert_gemm":
            return self._product(self.expert_gemm, operator.precision)
        if kind == "attention_prefill":
            return self.prefill_attention
        if kind == "attention_backward":
            return self.backward_attention
        if kind == "attention_decode":
            assert isinstance(operator.shape, AttentionShape)
            return (
                self.grouped_decode if operator.shape.kv_heads < operator.shape.heads else self.plain_decode
            )
        if kind in ("embedding_bag", "embedding_update"):
            return self.rows or self.memory["elementwise"]
        return self.memory[kind]

    def _product(self, curves: Mapping[str, GemmCurve], precision: str) -> GemmCurve:
        if precision not in curves:
            hint = did_you_mean(precision, curves)
            raise CatalogError(f"curve set '{self.name}' has no matrix products in '{precision}'.{hint}")
        return curves[precision]


def _build(record: Record) -> CurveSet:
    fields = record.fields
    return CurveSet(
        name=record.name,
        gemm=_products(fields["gemm"], MappingProxyType(dict(fields.get("alignment", {})))),
        expert_gemm=_products(fields["expert_gemm"]),
        prefill_attention=PrefillAttentionCurve(**fields["prefill_attention"]),
        backward_attention=PrefillAttentionCurve(**fields["backward_attention"]),
        grouped_decode=DecodeAttentionCurve(**fields["grouped_decode"]),
        plain_decode=DecodeAttentionCurve(**fields["plain_decode"]),
        memory=MappingProxyType({key: MemoryCurve(**value) for key, value in fields["memory"].items()}),
        sources=MappingProxyType(dict(record.sources)),
    )


def _products(
    by_precision: Mapping[str, Mapping[str, float]], alignment: Mapping[int, float] = _ALIGNED
) -> Mapping[str, GemmCurve]:
    """Return curves by precision; rows that are not aligned slow tensor cores, which fp32 does not use."""
    return MappingProxyType(
        {
            key: GemmCurve(**value, alignment=_ALIGNED if key == "fp32" else alignment)
            for key, value in by_precision.items()
        }
    )


def _with_rows(record: Record) -> CurveSet:
    return replace(_build(record), rows=row_curve(record.name))


SHELF: Shelf[CurveSet] = Shelf("efficiency curve set", file="efficiency.yaml", build=_with_rows)


def curve_set(name: str) -> CurveSet:
    """Return a set of curves of the catalogue, or that of a device file (`.yaml`).

    Raises
    ------
    CatalogError
        For an unknown name.
    InputError
        For a device file that cannot be read, or whose curves lack something.
    """
    return _of_file(name, file_version(name)) if is_device_file(name) else SHELF.get(name)


@lru_cache(maxsize=32)
def _of_file(path: str, version: tuple[int, int]) -> CurveSet:
    """Read a device file; a file that has another `version` since is read again."""
    try:
        return _build(read_device_file(path).efficiency)
    except KeyError as error:
        raise InputError(f"{path}: efficiency.{error.args[0]} is missing") from None
    except TypeError as error:
        raise InputError(f"{path}: efficiency: {error}") from None
