"""Samples on their way from storage to a replica: read, decoded, kept ahead."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clustersim.engine.trace import HOST, NO_CAUSE, STORAGE
from clustersim.spec.techniques import DataLoadingSpec
from clustersim.topology import Topology
from clustersim.workloads.span import Span
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


Recorder = Callable[[str, float, float, Mapping[str, float], int], int]
"""Writes kind, begin, end, shares and cause of what was done for samples into the trace; returns its row."""


class Feed:
    """The micro-batches of one replica, one after the other.

    *Equation.* Micro-batch k is read from the moment when k - 1 has been read and k - p been taken, and
    decoded from when it has been read and k - 1 been decoded.

    Parameters
    ----------
    start_s
        When reading begins.
    record
        Writes down what it does.
    """

    def __init__(self, loading: Loading, *, start_s: float, record: Recorder | None = None) -> None:
        self._loading = loading
        self._record = record or (lambda *_: NO_CAUSE)
        begin = Span(None, start_s, start_s, {})
        self._read = self._decoded = begin
        self._taken: deque[tuple[float, Span]] = deque([(start_s, begin)] * loading.prefetch)

    @property
    def last(self) -> Span:
        """What the micro-batch that was taken last waited for."""
        return self._decoded

    def take(self, now_s: float, after: Span | None = None) -> float:
        """Take the next micro-batch; return when it is there, `now_s` or later.

        Parameters
        ----------
        after
            What the taker did before.
        """
        loading = self._loading
        free_s, freed_by = self._taken.popleft()
        late = self._read if self._read.end_s >= free_s else freed_by
        self._read = self._span("transfer", late, max(self._read.end_s, free_s), loading.read_s, STORAGE)
        last = self._read if self._read.end_s >= self._decoded.end_s else self._decoded
        self._decoded = self._span("host", last, last.end_s, loading.decode_s, HOST)
        there_s = max(now_s, self._decoded.end_s)
        taker = self._decoded if there_s > now_s or after is None else after
        self._taken.append((there_s, taker))
        return there_s

    def _span(self, kind: str, cause: Span, start_s: float, seconds: float, resource: str) -> Span:
        shares, end_s = {resource: seconds}, start_s + seconds
        row = self._record(kind, start_s, end_s, shares, cause.row) if seconds else cause.row
        return Span(cause, start_s, end_s, shares, row)
