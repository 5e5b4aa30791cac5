"""How gradients are added up over replicas, and parameters collected: by the stage of ZeRO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clustersim.cost.roofline import KernelTime
from clustersim.cost.training.training_cost import LayerCost
from clustersim.workloads.training.buckets import fill_buckets
from clustersim.workloads.training.layout import Layout
from clustersim.workloads.training.program import Launch
from clustersim.workloads.training.techniques.compression import Compression

__all__ = ["DATA_DIMENSIONS", "Replication"]

DATA_DIMENSIONS = (
    "data",
    "expert_data",
    "shard",
    "replica_shard",
    "expert_shard",
    "expert_replica_shard",
    "embedding",
    "model",
)
"""Dimensions whose collectives move gradients, parameters and norms."""


@dataclass(frozen=True)
class _Kind:
    """Dense parameters or experts: which groups hold the same, divide the states, and hold the same part."""

    replicas: str
    shard: str
    replica_shard: str
    replicas_ranks: int
    shard_ranks: int
    worker_ranks: int

    def sends(self, parameters: int) -> bool:
        """Whether there is anything to say, and anybody to say it to."""
        return parameters > 0 and self.replicas_ranks > 1

    @property
    def replica_shard_ranks(self) -> int:
        return self.replicas_ranks // self.shard_ranks


@dataclass(frozen=True)
class Replication:
    """What the replicas of a stage say to each other about its parameters.

    *Equation.* All replicas hold all gradients (ZeRO 0): all-reduce of g bytes per parameter. They
    divide them (ZeRO 1 to 3): reduce-scatter over the z ranks that divide, all-reduce of the z-th part
    among those that hold the same part (hybrid sharding), and all-gather of the parameters.

    Parameters
    ----------
    gradient_bytes, parameter_bytes
        Per parameter, as they are sent.
    local
        Whether gradients are summed within workers alone.
    compression
        What replicas send in place of gradients; None: gradients.

    **Source:** Rajbhandari et al., "ZeRO", SC20, sections 5 and 7; Zhao et al., "PyTorch FSDP", VLDB
    2023, section 3.2 (hybrid sharding).
    **Checked by:** tests/workloads/test_training_compile.py.
    """

    layout: Layout
    gradient_bytes: float
    parameter_bytes: float
    bucket_bytes: float
    local: bool = False
    compression: Compression | None = None

    @property
    def divided(self) -> bool:
        """Whether anything is divided."""
        return self.layout.zero > 0

    def gradients(self, key: str, layers: Sequence[LayerCost], *, stream: str = "data") -> Iterator[Launch]:
        """Yield the collectives that add up the gradients of some layers."""
        for kind, parameters in self._kinds(layers):
            if self.compression is not None and kind.sends(parameters):
                messages = self.compression.messages(parameters, ranks=kind.replicas_ranks)
                for number, (collective, size_bytes) in enumerate(messages):
                    name = f"{key}.{kind.replicas}.{number}"
                    yield Launch(name, stream, kind.replicas, collective, size_bytes)
                continue
            size_bytes = parameters * self.gradient_bytes
            yield from self._summed(f"{key}.{kind.replicas}", kind, size_bytes, stream)

    def encode(self, layers: Sequence[LayerCost]) -> KernelTime:
        """Return the time of making what is sent in place of the gradients of some layers."""
        if self.compression is None:
            return KernelTime.ZERO
        times = (self.compression.encode(count) for kind, count in self._kinds(layers) if kind.sends(count))
        return sum(times, KernelTime.ZERO)

    def decode(self, layers: Sequence[LayerCost]) -> KernelTime:
        """Return the time of reading what has come in place of the gradients of some layers."""
        if self.compression is None:
            return KernelTime.ZERO
        times = (
            self.compression.decode(count, ranks=kind.replicas_ranks)
            for kind, count in self._kinds(layers)
            if kind.sends(count)
        )
        return sum(times, KernelTime.ZERO)

    def buckets(self, layers: Sequence[LayerCost]) -> Iterator[tuple[Sequence[LayerCost], int]]:
        """Yield the layers of each bucket, in the order given, and how many have to be there before it."""
        sizes = [(layer.parameters + layer.expert_parameters) * self.gradient_bytes for layer in layers]
        begin = 0
        for _, filled_by in fill_buckets(sizes, bucket_bytes=self.bucket_bytes):
            yield layers[begin:filled_by], filled_by
            begin = filled_by

    def parameters(self, key: str, layers: Sequence[LayerCost], *, stream: str) -> Iterator[Launch]:
        """Yield the collectives that bring every rank the divided parameters of some layers."""
        frozen = sum(layer.frozen_parameters for layer in layers) if self.layout.zero == 3 else 0
        for kind, parameters in self._kinds(layers, frozen=frozen):
            if parameters and kind.shard_ranks > 1:
                size_bytes = parameters * self.parameter_bytes
                yield Launch(f"{key}.{kind.shard}", stream, kind.shard, "all_gather", size_bytes)

    def _summed(self, key: str, kind: _Kind, size_bytes: float, stream: str) -> Iterator[Launch]:
        if not size_bytes or kind.replicas_ranks == 1:
            return
        if not self.divided:
            dimension = kind.shard if self.local else kind.replicas
            if not self.local or kind.worker_ranks > 1:
                yield Launch(key, stream, dimension, "all_reduce", size_bytes)
            return
        scattered = ""
        if kind.shard_ranks > 1:
            scattered = f"{key}.scatter"
            yield Launch(scattered, stream, kind.shard, "reduce_scatter", size_bytes)
        if kind.replica_shard_ranks > 1 and not self.local:
            part_bytes = size_bytes / kind.shard_ranks
            after = scattered if stream != "data" else ""  # a stream keeps its order by itself
            yield Launch(f"{key}.sum", "data", kind.replica_shard, "all_reduce", part_bytes, after=after)

    def _kinds(self, layers: Sequence[LayerCost], *, frozen: int = 0) -> Iterator[tuple[_Kind, int]]:
        layout = self.layout
        yield (
            _Kind(
                "data",
                "shard",
                "replica_shard",
                layout.data * layout.context,
                layout.zero_ranks,
                layout.worker_ranks,
            ),
            frozen + sum(layer.parameters for layer in layers),
        )
        yield (
            _Kind(
                "expert_data",
                "expert_shard",
                "expert_replica_shard",
                layout.expert_data,
                layout.expert_zero_ranks,
                layout.sizes.expert_shard,
            ),
            sum(layer.expert_parameters for layer in layers),
        )
