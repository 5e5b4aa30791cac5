"""What a scenario may say about the KV cache of a service: precision, prefix caching, lower tiers."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import LIST, FieldError, SpecModel
from clustersim.units import BandwidthQuantity, SizeQuantity

__all__ = ["HostTier", "KvCacheSpec", "KvPrecision", "KvTier", "NvmeTier", "RemoteTier"]

KvPrecision = Literal["fp16", "bf16", "fp8", "int8", "int4"]


class HostTier(SpecModel):
    """Memory of the replica's host: KV goes over the links between GPUs and host."""

    kind: Literal["host"]
    capacity: SizeQuantity
    """Bytes of host memory for the KV of each replica."""


class NvmeTier(SpecModel):
    """Drives in the replica's node, read and written through the host."""

    kind: Literal["nvme"]
    capacity: SizeQuantity
    """Bytes on drives for the KV of each replica."""
    drive: str = "nvme-gen4"
    """Drive of the catalogue: rates of reading and writing."""
    drives: Annotated[int, Field(ge=1)] = 1
    """Drives of each node, striped; all replicas of the node share their rate."""
    read_bandwidth: BandwidthQuantity | None = None
    """Of one drive, in place of the catalogue's."""
    write_bandwidth: BandwidthQuantity | None = None
    """Of one drive, in place of the catalogue's."""


class RemoteTier(SpecModel):
    """A store over the network, one for all replicas: the pooled host memory of some nodes (Mooncake)."""

    kind: Literal["remote"]
    capacity: SizeQuantity
    """Bytes of the store, all nodes together."""
    nodes: Annotated[tuple[Annotated[int, Field(ge=0)], ...], LIST, Field(min_length=1)] | None = None
    """Nodes of the cluster, from 0, whose host memory holds it; block by block on one after the other.
    Default: all."""


KvTier = Annotated[HostTier | NvmeTier | RemoteTier, Field(discriminator="kind")]


class KvCacheSpec(SpecModel):
    """How keys and values are kept."""

    precision: KvPrecision | None = None
    """Of keys and values in memory; `int8` and `int4` with a scale and a zero point per token and head.
    Default: as `precision`."""
    prefix_caching: bool = False
    """KV of finished requests stays, and a request whose prompt begins like an earlier one does not compute
    that part again. Needs a load that says what prompts share."""
    tiers: Annotated[tuple[KvTier, ...], LIST] = ()
    """Where KV goes that GPU memory has no room for, from fast to slow. Needs `prefix_caching`."""
    write: Literal["through", "back"] = "through"
    """`through`: copied to every tier as soon as it is computed, as vLLM does; `back`: copied to the next
    tier when it is evicted from the one above."""

    @model_validator(mode="after")
    def _tiers_are_usable(self) -> Self:
        if self.tiers and not self.prefix_caching:
            raise FieldError("hold what prefix caching keeps; set 'prefix_caching' to true too", "tiers")
        kinds = [tier.kind for tier in self.tiers]
        for position, kind in enumerate(kinds):
            if kind in kinds[:position]:
                raise FieldError(f"a second tier of kind '{kind}'; give each kind once", "tiers", position)
        return self
