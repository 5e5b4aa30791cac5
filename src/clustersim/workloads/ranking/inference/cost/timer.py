"""What batches of a ranking model go through on one kind of device, by their size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.ranking_engines import RankingEngine
from clustersim.catalog.ranking_models import RankingModel
from clustersim.cost.operators import Operator
from clustersim.engine.trace import HOST
from clustersim.spec.ranking.pool import RankingPoolSpec
from clustersim.workloads.ranking.inference.cost.kernels import DenseKernels, Work
from clustersim.workloads.ranking.inference.cost.places import TablePlace
from clustersim.workloads.ranking.inference.cost.processor import ProcessorKernels
from clustersim.workloads.ranking.inference.cost.rows import ServedTables
from clustersim.workloads.ranking.inference.replica.channel import Message
from clustersim.workloads.ranking.inference.replica.profile import (
    BatchProfile,
    Copy,
    Host,
    Step,
)

__all__ = ["RooflineTimer"]


class RooflineTimer:
    """Batches by the roofline: each size is computed once, exactly, and remembered.

    Parameters
    ----------
    model, spec, engine
        What is served, and how.
    device
        At the speed of the cluster.
    tables, place
        Which rows are looked up, and where they are.
    profiles
        All profiles of the service; new ones are put at the end.
    processor
        Computes the layers in place of the device; then nothing is copied.
    """

    def __init__(
        self,
        model: RankingModel,
        spec: RankingPoolSpec,
        engine: RankingEngine,
        device: Accelerator,
        *,
        tables: ServedTables,
        place: TablePlace,
        profiles: list[BatchProfile],
        processor: ProcessorKernels | None = None,
    ) -> None:
        self._model = model
        self._spec = spec
        self._engine = engine
        self._host = device.speed.host
        self._tables = tables
        self._place = place
        self._profiles = profiles
        self._processor = processor
        self._counts_queries = tables.counts_queries or model.interaction.sequence_length > 0
        self._known: dict[tuple[int, int], BatchProfile] = {}
        self.dense = DenseKernels(
            model,
            precision=spec.precision,
            interaction_precision=spec.interaction_precision,
            engine=engine,
            device=device,
        )

    def profile(self, samples: int, queries: int) -> BatchProfile:
        """Return the profile of batches of so many samples and pieces of queries."""
        key = (samples, queries if self._counts_queries else 0)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._made(float(samples), float(queries))
            self._profiles.append(known)
        return known

    def _made(self, samples: float, queries: float) -> BatchProfile:
        engine = self._engine
        own_s = self.host_seconds(engine.batch_host_s + engine.sample_host_s * samples)
        way = self._place.way(self, samples, queries)
        return BatchProfile(
            number=len(self._profiles),
            steps=(Host(own_s), *way.steps, *self._copies_out(samples)),
            shares=_sum_of([{HOST: own_s + way.host_s}, *(work.time.shares() for work in way.works)]),
            device_s=sum(work.time.seconds for work in way.works),
            flops=way.flops,
            hbm_bytes=way.hbm_bytes,
            network_bytes=way.network_bytes,
            messages=way.messages,
        )

    def host_seconds(self, seconds: float) -> float:
        """Return what the host of this cluster takes for what a usual one does in `seconds`."""
        return seconds / self._host

    def layers(self, samples: float, queries: float, *extra: Operator) -> Work:
        """Return the work of the layers for a batch, with further operators before them."""
        computing = self.dense if self._processor is None else self._processor
        return computing.layers(samples, queries, *extra)

    def copies_in(self, samples: float, queries: float) -> list[Step]:
        """Return the copy of a batch's inputs to the device: dense features and indices."""
        if self._spec.inputs == "device":
            return []
        lookups = float(self._tables.lookups(samples, queries).sum())
        return self.copies(self.dense_bytes(samples) + self._engine.index_bytes * lookups)

    def copies(self, size_bytes: float) -> list[Step]:
        """Return the copy of inputs of so many bytes to the device, if it computes the layers."""
        if self._processor is not None:
            return []
        return [self.copy_in(size_bytes, copies=self._engine.copies_in)]

    def dense_bytes(self, samples: float) -> float:
        """Return the bytes of the dense features of a batch."""
        return self._engine.dense_bytes * self._model.dense_features * samples

    def copy_in(self, size_bytes: float, *, copies: int) -> Copy:
        """Return a copy from the host to the device."""
        return Copy("in", self._message(size_bytes, copies))

    def _copies_out(self, samples: float) -> list[Step]:
        if self._processor is not None:
            return []
        size_bytes = self._engine.output_bytes * self._model.tasks * samples
        return [Copy("out", self._message(size_bytes, self._engine.copies_out))]

    def _message(self, size_bytes: float, copies: int) -> Message:
        rate = self._engine.copy_rate_bytes_per_s
        least_s = 0.0 if rate is None else size_bytes / (rate * self._host)
        return Message(size_bytes, copies * self._engine.copy_s / self._host, least_s)


def _sum_of(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for resource, seconds in part.items():
            total[resource] = total.get(resource, 0.0) + seconds
    return {resource: seconds for resource, seconds in total.items() if seconds > 0.0}
