"""Accelerators: peak rates, memory, launch cost and power of one device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf
from types import MappingProxyType
from typing import Literal, NamedTuple

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.catalog.device_files import file_version, is_device_file, read_device_file
from clustersim.errors import CatalogError, ClusterSimError, InputError, did_you_mean
from clustersim.units import BANDWIDTH, FLOP_RATE, POWER, SIZE, TIME, parse_quantity

__all__ = ["AS_BUILT", "SHELF", "Accelerator", "DeviceSpeed", "Reach", "find_accelerator"]

Reach = Literal["scale_up", "scale_out"]
"""How far a collective goes: among peers of one node (or NVLink domain), or over a network."""


class DeviceSpeed(NamedTuple):
    """How many times faster than the catalogue's a device's arithmetic, memory and host are.

    The rates of an `Accelerator` have it in them already; it is for seconds that are no field of it:
    the latencies of kernels, and what a scenario says that the host takes.
    """

    compute: float = 1.0
    memory_bandwidth: float = 1.0
    host: float = 1.0


AS_BUILT = DeviceSpeed()


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
    sustained_product_flops
        Rate that a long stream of large products on real data holds at the power limit, by
        precision; isolated products are faster. Empty where nothing is known.
    fp8_promotion
        How many times longer an fp8 product takes whose sums are brought to fp32 registers on the way, as
        those of the backward pass are (Transformer Engine's split accumulator); None where the tensor
        cores add up in fp32 themselves.
    memory_bytes
        What the driver reports as total (`nvidia-smi`), where known; else the maker's
        number read as binary units. An 80 GB H100 has 81,559 MiB.
    memory_bandwidth_bytes_per_s
        Peak rate of device memory.
    last_level_cache_bytes
        Cache between the compute units and device memory (L2); None where it is not known.
    scale_up_bandwidth_bytes_per_s
        Sum over the links to peers, per direction; None without such links.
    compute_units
        Units that run one tile of a matrix product at a time: SMs (NVIDIA), CUs (AMD),
        MXUs (TPU); sets the wave quantisation of matrix products.
    collective_units
        How many of them a running collective takes, by how far it reaches: `scale_up` (peers of
        one node) and `scale_out` (a network); empty where collectives take none, as on TPUs.
    kernel_launch_s
        Time between two launches of one eager stream; see `clustersim.cost.roofline`.
    efficiency
        Name of a curve set in `efficiency.yaml`, or path of a device file; see
        `clustersim.cost.efficiency`.
    speed
        Against the device that the curves were measured on.
    sources
        Field name to source.

    **Source:** `sources`, field by field. **Checked by:** tests/catalog.
    """

    name: str
    vendor: str
    year: int
    peak_flops: Mapping[str, float]
    best_product_flops: Mapping[str, float]
    sustained_product_flops: Mapping[str, float]
    fp8_promotion: float | None = None
    memory_bytes: float
    memory_bandwidth_bytes_per_s: float
    last_level_cache_bytes: float | None = None
    scale_up_bandwidth_bytes_per_s: float | None
    compute_units: int
    collective_units: Mapping[str, int]
    tdp_w: float | None
    kernel_launch_s: float
    efficiency: str
    speed: DeviceSpeed = AS_BUILT
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

    def rate(self, precision: str, *, share: float) -> float:
        """Return `share` of the peak rate, but no more than the best product measured.

        Raises
        ------
        CatalogError
            If the device has no rate for the precision.
        """
        return min(share * self.peak(precision), self._limit(self.best_product_flops, precision))

    def sustained_rate(self, precision: str) -> float:
        """Return the rate that products hold hour after hour: at most the peak.

        *Equation:* `sustained_product_flops`, else `best_product_flops`, else the peak. A precision
        without a measurement of its own takes the share of the peak that bf16 (or fp16) has.

        Raises
        ------
        CatalogError
            If the device has no rate for the precision.
        """
        return min(self._limit(self.sustained_product_flops, precision), self.rate(precision, share=1.0))

    def _limit(self, measured: Mapping[str, float], precision: str) -> float:
        """Return a measured rate, or what the measured share of another precision's peak amounts to."""
        if precision in measured:
            return measured[precision]
        known = next((name for name in ("bf16", "fp16") if name in measured), None)
        return inf if known is None else measured[known] / self.peak(known) * self.peak(precision)

    def with_speed(self, speed: DeviceSpeed, *, memory_capacity: float = 1.0) -> Accelerator:
        """Return the device with all rates of arithmetic, memory and host so many times as high.

        Parameters
        ----------
        memory_capacity
            Factor on the size of its memory.

        **Checked by:** tests/catalog/test_device_speed.py.
        """
        if speed == AS_BUILT and memory_capacity == 1.0:
            return self
        return replace(
            self,
            peak_flops=_times(self.peak_flops, speed.compute),
            best_product_flops=_times(self.best_product_flops, speed.compute),
            sustained_product_flops=_times(self.sustained_product_flops, speed.compute),
            memory_bytes=self.memory_bytes * memory_capacity,
            memory_bandwidth_bytes_per_s=self.memory_bandwidth_bytes_per_s * speed.memory_bandwidth,
            kernel_launch_s=self.kernel_launch_s / speed.host,
            speed=speed,
        )

    def slowdown_beside_collective(self, reach: Reach) -> float:
        """Return how many times longer kernels take while a collective runs beside them.

        *Equation:* units / (units - taken): the collective's thread blocks keep their
        multiprocessors to themselves, and kernels share the rest.

        **Valid when** kernels have many more tiles than there are units (a product of just as many
        tiles as units can take twice as long), and the collective leaves memory bandwidth over.
        **Source:** `sources["collective_units"]`. Measured on H100, A100, MI210 and MI250 in data-
        and pipeline-parallel training: 1.19 in the mean, 1.40 at worst (Lee et al., "Characterizing
        Compute-Communication Overlap in GPU-Accelerated Distributed Deep Learning", arXiv 2507.03114,
        2025, abstract). **Checked by:** tests/catalog/test_accelerators.py.
        """
        return self.compute_units / (self.compute_units - self.collective_units.get(reach, 0))


def _build(record: Record) -> Accelerator:
    fields = record.fields
    scale_up = fields.get("scale_up_bandwidth")
    tdp = fields.get("tdp")
    cache = fields.get("last_level_cache")
    return Accelerator(
        name=record.name,
        vendor=fields["vendor"],
        year=fields["year"],
        peak_flops=_rates(fields["peak"]),
        best_product_flops=_rates(fields.get("best_product", {})),
        sustained_product_flops=_rates(fields.get("sustained_product", {})),
        fp8_promotion=fields.get("fp8_promotion"),
        memory_bytes=parse_quantity(fields["memory"], SIZE),
        memory_bandwidth_bytes_per_s=parse_quantity(fields["memory_bandwidth"], BANDWIDTH),
        last_level_cache_bytes=None if cache is None else parse_quantity(cache, SIZE),
        scale_up_bandwidth_bytes_per_s=None if scale_up is None else parse_quantity(scale_up, BANDWIDTH),
        compute_units=fields["compute_units"],
        collective_units=MappingProxyType(dict(fields.get("collective_units", {}))),
        tdp_w=None if tdp is None else parse_quantity(tdp, POWER),
        kernel_launch_s=parse_quantity(fields["kernel_launch"], TIME),
        efficiency=fields["efficiency"],
        sources=MappingProxyType(record.sources_of(tuple(key for key in fields if key not in _NOT_FACTS))),
    )


def _times(rates: Mapping[str, float], factor: float) -> Mapping[str, float]:
    return MappingProxyType({precision: rate * factor for precision, rate in rates.items()})


def _rates(by_precision: Mapping[str, str]) -> Mapping[str, float]:
    return MappingProxyType({key: parse_quantity(text, FLOP_RATE) for key, text in by_precision.items()})


_NOT_FACTS = ("aliases", "sources", "vendor")

SHELF: Shelf[Accelerator] = Shelf("accelerator", file="accelerators.yaml", build=_build)


def find_accelerator(name_or_path: str) -> Accelerator:
    """Return an accelerator of the catalogue, or that of a device file (`.yaml`).

    Raises
    ------
    CatalogError
        For a name that is not in the catalogue.
    InputError
        For a device file that cannot be read.
    """
    if is_device_file(name_or_path):
        return _of_file(name_or_path, file_version(name_or_path))
    return SHELF.get(name_or_path)


@lru_cache(maxsize=32)
def _of_file(path: str, version: tuple[int, int]) -> Accelerator:
    """Read a device file; a file that has another `version` since is read again."""
    record = read_device_file(path).accelerator
    sources = {"efficiency": Source(f"Device file of {record.name}", "seen"), **record.sources}
    try:
        return _build(Record(record.name, {**record.fields, "efficiency": path}, sources))
    except KeyError as error:
        raise InputError(f"{path}: accelerator.{error.args[0]} is missing") from None
    except (ClusterSimError, TypeError, ValueError) as error:
        raise InputError(f"{path}: accelerator: {error}") from None
