"""Accelerators: peak rates, memory, launch cost and power of one device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.errors import CatalogError, did_you_mean
from clustersim.units import BANDWIDTH, FLOP_RATE, POWER, SIZE, TIME, parse_quantity

__all__ = ["SHELF", "Accelerator"]


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """One device as its maker specifies it, and the names of its measured curves.

    Parameters
    ----------
    peak_flops
        FLOP/s by precision (fp32, tf32, fp16, bf16, fp8, int8): dense, no sparsity.
        A multiply-add counts as two.
    best_product_flops
        Highest rate of any matrix product that a public sweep found, by precision; empty
        where there is none, or where the device's own curves say more.
    memory_bytes
        What the driver reports as total (`nvidia-smi`), where known; else the maker's
        number read as binary units. An 80 GB H100 has 81,559 MiB.
    memory_bandwidth_bytes_per_s
        Peak rate of device memory.
    scale_up_bandwidth_bytes_per_s
        Sum over the links to peers, per direction; None without such links.
    compute_units
        Units that run one tile of a matrix product at a time: SMs (NVIDIA), CUs (AMD),
        MXUs (TPU); sets the wave quantisation of matrix products.
    kernel_launch_s
        Time between two launches of one eager stream; see `clustersim.cost.roofline`.
    efficiency
        Name of a curve set in `efficiency.yaml`; see `clustersim.cost.efficiency`.
    sources
        Field name to source.

    **Source:** `sources`, field by field. **Checked by:** tests/catalog.
    """

    name: str
    vendor: str
    year: int
    peak_flops: Mapping[str, float]
    best_product_flops: Mapping[str, float]
    memory_bytes: float
    memory_bandwidth_bytes_per_s: float
    scale_up_bandwidth_bytes_per_s: float | None
    compute_units: int
    tdp_w: float | None
    kernel_launch_s: float
    efficiency: str
    sources: Mapping[str, Source]

    def peak(self, precision: str) -> float:
        """Return the peak rate of a precision in FLOP/s.

        Raises
        ------
        CatalogError
            If the device has no rate for it.
        """
        try:
            return self.peak_flops[precision]
        except KeyError:
            hint = did_you_mean(precision, self.peak_flops)
            raise CatalogError(f"{self.name} has no peak rate for '{precision}'.{hint}") from None

    def sustained(self, precision: str, *, share: float) -> float:
        """Return `share` of the peak rate, but no more than the best product measured.

        A precision without a measurement of its own takes the share of the peak that bf16 has.

        Raises
        ------
        CatalogError
            If the device has no rate for the precision.
        """
        peak, best = self.peak(precision), self.best_product_flops
        if not best:
            return share * peak
        limit = best[precision] if precision in best else best["bf16"] / self.peak("bf16") * peak
        return min(share * peak, limit)


def _build(record: Record) -> Accelerator:
    fields = record.fields
    scale_up = fields.get("scale_up_bandwidth")
    tdp = fields.get("tdp")
    return Accelerator(
        name=record.name,
        vendor=fields["vendor"],
        year=fields["year"],
        peak_flops=_rates(fields["peak"]),
        best_product_flops=_rates(fields.get("best_product", {})),
        memory_bytes=parse_quantity(fields["memory"], SIZE),
        memory_bandwidth_bytes_per_s=parse_quantity(fields["memory_bandwidth"], BANDWIDTH),
        scale_up_bandwidth_bytes_per_s=None if scale_up is None else parse_quantity(scale_up, BANDWIDTH),
        compute_units=fields["compute_units"],
        tdp_w=None if tdp is None else parse_quantity(tdp, POWER),
        kernel_launch_s=parse_quantity(fields["kernel_launch"], TIME),
        efficiency=fields["efficiency"],
        sources=MappingProxyType(record.sources_of(tuple(key for key in fields if key not in _NOT_FACTS))),
    )


def _rates(by_precision: Mapping[str, str]) -> Mapping[str, float]:
    return MappingProxyType({key: parse_quantity(text, FLOP_RATE) for key, text in by_precision.items()})


_NOT_FACTS = ("aliases", "sources", "vendor")

SHELF: Shelf[Accelerator] = Shelf("accelerator", file="accelerators.yaml", build=_build)
