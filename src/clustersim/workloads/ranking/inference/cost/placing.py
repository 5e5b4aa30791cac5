"""Where the tables of a pool are, as its scenario says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clustersim.catalog.processors import SHELF as PROCESSORS
from clustersim.catalog.processors import Processor
from clustersim.catalog.ranking_engines import RankingEngine
from clustersim.catalog.ranking_models import RankingModel
from clustersim.errors import CatalogError, InputError, Problem
from clustersim.spec.ranking.embeddings import CachedEmbeddings, RemoteEmbeddings
from clustersim.spec.ranking.pool import RankingPoolSpec
from clustersim.topology import Topology
from clustersim.workloads.ranking.inference.cost.places import (
    CachedRows,
    OnDevice,
    OnProcessor,
    TablePlace,
    key_seconds,
)
from clustersim.workloads.ranking.inference.cost.processor import ProcessorKernels
from clustersim.workloads.ranking.inference.cost.remote import RemoteRows
from clustersim.workloads.ranking.inference.cost.rows import ServedTables
from clustersim.workloads.ranking.inference.cost.sharded import ShardedRows
from clustersim.workloads.ranking.sharding.devices import devices_of
from clustersim.workloads.ranking.sharding.planner import plan_shards

__all__ = ["TablePlanner"]


@dataclass(frozen=True)
class TablePlanner:
    """Places the tables of a pool.

    Parameters
    ----------
    spec, model, engine
        What is served, and how.
    tables
        As they are looked up.
    topology
        Whose hosts and GPUs.
    max_samples
        Of a batch.
    base
        Folder that paths start from.
    """

    spec: RankingPoolSpec
    model: RankingModel
    engine: RankingEngine
    tables: ServedTables
    topology: Topology
    max_samples: int
    base: Path | None

    def place(self, gpus: tuple[str, ...]) -> TablePlace:
        """Return where the tables of the replica on some GPUs are.

        Raises
        ------
        InputError
            For an unknown processor.
        CannotRunError
            If tables that are divided over the GPUs do not fit.
        """
        if self.spec.dense_on == "cpu" and not isinstance(self.spec.embeddings, RemoteEmbeddings):
            return OnProcessor(self.tables, output_precision=self.spec.precision)
        embeddings, device = self.spec.embeddings, self.topology.accelerator(gpus[0])
        output = self.engine.hand_over or self.spec.precision
        if isinstance(embeddings, RemoteEmbeddings):
            return self._remote(embeddings)
        if isinstance(embeddings, CachedEmbeddings):
            return CachedRows(
                self.tables,
                engine=self.engine,
                device=device,
                output_precision=output,
                fraction=embeddings.fraction,
                hit_rate=embeddings.hit_rate,
            )
        if len(gpus) == 1 or embeddings.copies == "per-gpu":
            return OnDevice(self.tables, engine=self.engine, device=device, output_precision=output)
        return self._sharded(gpus, output)

    def processor_kernels(self) -> ProcessorKernels | None:
        """Return what computes the layers on the host; None where the GPUs do.

        Raises
        ------
        InputError
            For an unknown processor, and arithmetic that it does not have.
        """
        spec, processor = self.spec, self._processor()
        if spec.dense_on == "gpu":
            return None
        try:
            return ProcessorKernels(
                self.model,
                precision=spec.precision,
                interaction_precision=spec.interaction_precision,
                processor=processor,
                speed=self.topology.speeds.host,
            )
        except CatalogError as error:
            raise InputError(Problem(("precision",), str(error))) from None

    def _remote(self, embeddings: RemoteEmbeddings) -> TablePlace:
        processor, overhead_s = self._processor(), embeddings.lookup_overhead
        return RemoteRows(
            self.tables,
            servers=embeddings.number,
            engine=self.engine,
            processor=processor,
            overhead_s=processor.lookup_s if overhead_s is None else overhead_s,
            precision=embeddings.precision,
            speed=self.topology.speeds.host,
            balance=embeddings.balance,
        )

    def _sharded(self, gpus: tuple[str, ...], output: str) -> TablePlace:
        embeddings, device = self.spec.embeddings, self.topology.accelerator(gpus[0])
        assert embeddings.kind == "local"  # the others were dealt with
        samples = self.max_samples / len(gpus)
        plan = plan_shards(
            self.model,
            embeddings.sharding,
            devices=devices_of(self.topology, gpus),
            batch=self.tables.bags(samples, 1.0),
            precision=embeddings.precision,
            optimizer=None,
            exchange_precision=output,
            base=self.base,
        )
        return ShardedRows(
            self.tables,
            plan,
            device=device,
            key_s=key_seconds(self.engine, device),
            output_precision=output,
        )

    def _processor(self) -> Processor:
        try:
            return PROCESSORS.get(self.spec.processor)
        except CatalogError as error:
            raise InputError(Problem(("processor",), str(error))) from None
