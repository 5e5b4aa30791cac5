"""Samples on their way from storage to a replica: read, decoded, kept ahead."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

from clustersim.engine.trace import HOST, STORAGE
from clustersim.spec.techniques import DataLoadingSpec
from clustersim.topology import Topology
from clustersim.workloads.training.layout import Coordinates, Layout

__all__ = ["Feed", "Loading"]


@dataclass(frozen=True)
class Loading:
    """What it takes to bring one replica one micro-batch.

    *Equation.* b samples of s bytes are read in b·s / min(B_node/n, B_storage/D), with n replicas that read
    on the busiest node and D in all; they are decoded in b·t/w by w workers. Once it flows, a micro-batch
    comes every max(read, decode).

    Parameters
    ----------
    read_s, decode_s
        Of a micro-batch.
    prefetch
        Micro-batches that are read and decoded ahead.

    **Valid when** replicas read evenly: what one does not take of its part, others do not get. The first
    rank of each replica reads, on its own node; tokens and labels that later stages need are not counted.
    **Source:** the pipeline of `torch.utils.data.DataLoader` (`num_workers`, `prefetch_factor`).
    **Checked by:** tests/workloads/test_training_loading.py.
    """

    read_s: float
    decode_s: float
    prefetch: int

    @classmethod
    def of(cls, spec: DataLoadingSpec, layout: Layout, topology: Topology, *, micro_batch: int) -> Loading:
        """Share bandwidth among the replicas of a job."""
        readers = [layout.gpu(layout.rank(Coordinates(0, 0, data, 0))) for data in range(layout.data)]
        most = max(Counter(map(topology.node_of, readers)).values())
        speeds = topology.speeds
        limits = [
            speeds.storage * bandwidth / sharers
            for bandwidth, sharers in ((spec.node_bandwidth, most), (spec.storage_bandwidth, layout.data))
            if bandwidth is not None
        ]
        return cls(
            read_s=micro_batch * spec.sample / min(limits) if limits else 0.0,
            decode_s=micro_batch * spec.decode / spec.workers / speeds.host,
            prefetch=spec.prefetch,
        )

    @property
    def shares(self) -> Mapping[str, float]:
        """What a replica that waits lacks, of each second: storage or processors, whichever is slower."""
        return {STORAGE if self.read_s >= self.decode_s else HOST: 1.0}


class Feed:
    """The micro-batches of one replica, one after the other.

    *Equation.* Micro-batch k is read from the moment when k - 1 has been read and k - p been taken, and
    decoded from when it has been read and k - 1 been decoded.

    Parameters
    ----------
    start_s
        When reading begins.
    """

    def __init__(self, loading: Loading, *, start_s: float) -> None:
        self._loading = loading
        self._read_s = self._decoded_s = start_s
        self._taken: deque[float] = deque([start_s] * loading.prefetch)

    @property
    def shares(self) -> Mapping[str, float]:
        """What is lacked where a micro-batch is late."""
        return self._loading.shares

    def take(self, now_s: float) -> float:
        """Take the next micro-batch; return when it is there, `now_s` or later."""
        begin_s = max(self._read_s, self._taken.popleft())
        self._read_s = begin_s + self._loading.read_s
        self._decoded_s = max(self._decoded_s, self._read_s) + self._loading.decode_s
        there_s = max(now_s, self._decoded_s)
        self._taken.append(there_s)
        return there_s
