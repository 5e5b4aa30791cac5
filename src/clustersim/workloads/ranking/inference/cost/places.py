"""Where the rows of a batch come from, and what that makes of its way: device memory, or a cache there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from clustersim import catalog
from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.ranking_engines import KEY_ACCELERATOR, RankingEngine
from clustersim.cost.operators import Operator
from clustersim.cost.ranking.embedding import RowWork, lookup
from clustersim.workloads.ranking.inference.cost.kernels import Work
from clustersim.workloads.ranking.inference.cost.rows import ServedTables
from clustersim.workloads.ranking.inference.replica.profile import Host, Kernels, Step

if TYPE_CHECKING:
    from clustersim.workloads.ranking.inference.cost.timer import RooflineTimer

__all__ = ["CachedRows", "OnDevice", "OnProcessor", "TablePlace", "Way", "key_seconds"]

Numbers = NDArray[np.float64]


def key_seconds(engine: RankingEngine, device: Accelerator) -> float:
    """Return the time that an engine adds for each row on a device, in proportion to its memory's rate."""
    measured = catalog.accelerator(KEY_ACCELERATOR)
    return engine.key_s * measured.memory_bandwidth_bytes_per_s / device.memory_bandwidth_bytes_per_s


@dataclass(frozen=True, kw_only=True)
class Way:
    """The steps of a batch between the host's preparation and the copy of its results.

    Parameters
    ----------
    steps
        In order.
    works
        Kernels among them, of the slowest device.
    host_s
        Time of the host among them.
    flops, hbm_bytes
        Of the kernels of all devices.
    network_bytes, messages
        What devices send to others.
    """

    steps: Sequence[Step]
    works: Sequence[Work]
    host_s: float = 0.0
    flops: float
    hbm_bytes: float
    network_bytes: float = 0.0
    messages: float = 0.0

    @classmethod
    def of_one(cls, steps: Sequence[Step], work: Work, *, host_s: float = 0.0) -> Way:
        """Return the way through one device."""
        return cls(steps=steps, works=(work,), host_s=host_s, flops=work.flops, hbm_bytes=work.hbm_bytes)


class TablePlace(Protocol):
    """Where tables are."""

    def way(self, timer: RooflineTimer, samples: float, queries: float) -> Way:
        """Return what batches go through."""

    @property
    def hit_rate(self) -> float | None:
        """Share of look-ups that find their row in the device's memory; None where all do, or none."""

    @property
    def device_bytes(self) -> float:
        """Bytes of rows on the fullest device."""

    @property
    def together(self) -> bool:
        """Whether the GPUs of a replica work on each batch together."""


class OnProcessor:
    """All tables in the memory of the host, whose sockets compute: nothing is copied.

    Parameters
    ----------
    tables
        Which.
    output_precision
        Of what look-ups leave.
    """

    hit_rate: float | None = None
    device_bytes = 0.0
    together = False

    def __init__(self, tables: ServedTables, *, output_precision: str) -> None:
        self._tables = tables
        self._output_precision = output_precision

    def way(self, timer: RooflineTimer, samples: float, queries: float) -> Way:
        """Return: look up and compute the layers."""
        rows = self._tables.work(samples, queries)
        gathered = lookup(rows, output_precision=self._output_precision, cache_bytes=0.0)
        work = timer.layers(samples, queries, gathered)
        return Way.of_one([Kernels(work.time)], work)


class OnDevice:
    """All tables in the memory of one device, which needs nobody else.

    Parameters
    ----------
    tables
        Which.
    engine, device
        What looks them up; a key costs time beside its row where the engine has a hash table.
    output_precision
        Of what look-ups leave.
    """

    def __init__(
        self, tables: ServedTables, *, engine: RankingEngine, device: Accelerator, output_precision: str
    ) -> None:
        self.tables = tables
        self.engine = engine
        self._cache_bytes = device.last_level_cache_bytes or 0.0
        self._key_s = key_seconds(engine, device)
        self._output_precision = output_precision

    @property
    def hit_rate(self) -> float | None:
        """All are there."""
        return None

    @property
    def device_bytes(self) -> float:
        """All tables."""
        return self.tables.bytes

    @property
    def together(self) -> bool:
        """Each works alone."""
        return False

    def way(self, timer: RooflineTimer, samples: float, queries: float) -> Way:
        """Return: copy the inputs in, look up, compute the layers."""
        work = self.computed(timer, samples, queries, self.tables.work(samples, queries))
        return Way.of_one([*timer.copies_in(samples, queries), Kernels(work.time)], work)

    def computed(self, timer: RooflineTimer, samples: float, queries: float, rows: RowWork) -> Work:
        """Return the work of look-ups, what the engine does for keys, and the layers."""
        layers = timer.dense.layers(samples, queries, *self._kernels(timer, rows))
        keys = float(self.tables.lookups(samples, queries).sum()) * self._key_s
        return layers.waiting_for_memory(keys)

    def _kernels(self, timer: RooflineTimer, rows: RowWork) -> tuple[Operator, ...]:
        gathered = lookup(rows, output_precision=self._output_precision, cache_bytes=self._cache_bytes)
        return (gathered, *timer.dense.hand_over(float((rows.outputs * rows.columns).sum())))


class CachedRows(OnDevice):
    """The hottest rows of each table in the memory of a device, all of them in that of its host.

    *Equation.* Of n look-ups in a table of which a share f of the rows is held, n·h(f) hit
    (`Popularity.hit_rate`), and the different rows among the others come from the host: its time per row, and
    bytes over the host link. With a given hit rate the others come one by one.

    Parameters
    ----------
    fraction
        Of the rows of each table.
    hit_rate
        In place of the popularity's.

    **Valid when** the cache has come to hold what is hottest, and the host's memory is faster than the link.
    **Checked by:** tests/workloads/ranking/test_ranking_inference_service.py.
    """

    def __init__(
        self,
        tables: ServedTables,
        *,
        engine: RankingEngine,
        device: Accelerator,
        output_precision: str,
        fraction: float,
        hit_rate: float | None,
    ) -> None:
        super().__init__(tables, engine=engine, device=device, output_precision=output_precision)
        self._held: Numbers = np.floor(tables.rows * fraction)
        self._given = hit_rate

    @property
    def hit_rate(self) -> float:
        """Share of look-ups that find their row in the device's memory."""
        lookups = self.tables.lookups(1.0, 1.0)
        return float((lookups * self._hits()).sum() / lookups.sum())

    @property
    def device_bytes(self) -> float:
        """The rows that are held."""
        return float((self._held * self.tables.row_bytes).sum())

    def way(self, timer: RooflineTimer, samples: float, queries: float) -> Way:
        """Return: copy the inputs in, bring missing rows, look up, compute the layers."""
        tables, engine = self.tables, self.engine
        rows = tables.work(samples, queries)
        work = self.computed(timer, samples, queries, rows)
        steps = timer.copies_in(samples, queries)
        missed = self._missed(rows)
        number = float(missed.sum())
        host_s = 0.0
        if number > 0.0:
            host_s = timer.host_seconds(engine.host_rows_s + engine.host_row_s * number)
            steps += [Host(host_s), timer.copy_in(float((missed * tables.row_bytes).sum()), copies=1)]
        return Way.of_one([*steps, Kernels(work.time)], work, host_s=host_s)

    def _hits(self) -> Numbers:
        if self._given is not None:
            return np.full(len(self.tables.rows), self._given)
        return self.tables.popularity.hit_rate(self._held)

    def _missed(self, rows: RowWork) -> Numbers:
        if self._given is not None:
            return rows.lookups * (1.0 - self._given)
        return self.tables.popularity.missed_rows(rows.lookups, self._held)
