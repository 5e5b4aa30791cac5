"""Which GPUs each replica of a ranking model has, what batches take there, and whether it fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clustersim import catalog
from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.ranking_engines import SHELF as ENGINES
from clustersim.catalog.ranking_engines import RankingEngine
from clustersim.catalog.ranking_models import RankingModel
from clustersim.errors import CannotRunError, CatalogError, InputError, Problem
from clustersim.spec.ranking.pool import OverheadsSpec, RankingPoolSpec
from clustersim.topology import Topology
from clustersim.workloads.ranking.inference.cost.memory import ServedMemory, served_memory
from clustersim.workloads.ranking.inference.cost.places import TablePlace
from clustersim.workloads.ranking.inference.cost.placing import TablePlanner
from clustersim.workloads.ranking.inference.cost.rows import ServedTables
from clustersim.workloads.ranking.inference.cost.timer import RooflineTimer
from clustersim.workloads.ranking.inference.hosts import preparing_hosts, server_hosts
from clustersim.workloads.ranking.inference.replica.profile import BatchProfile, BatchTimer
from clustersim.workloads.ranking.inference.replica.rules import Rules

__all__ = ["PoolPlan", "ReplicaPlan", "plan_pool"]

_ENGINE_TIMES = {
    "query": "query_host_s",
    "query_sample": "query_sample_host_s",
    "batch": "batch_host_s",
    "sample": "sample_host_s",
}
"""Fields of the scenario, and what they are of the engine."""


@dataclass(frozen=True)
class ReplicaPlan:
    """One replica.

    Parameters
    ----------
    devices
        GPUs of each device: one, or those that work on each batch together.
    accelerator
        What its GPUs are.
    hosts
        Of each GPU.
    timer
        What its batches go through.
    memory
        Of its fullest GPU.
    hit_rate
        Share of look-ups that find their row in GPU memory; None where that is not a question.
    """

    devices: tuple[tuple[str, ...], ...]
    accelerator: Accelerator
    hosts: Mapping[str, str]
    timer: BatchTimer
    memory: ServedMemory
    hit_rate: float | None = None

    @property
    def gpus(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(gpu for device in self.devices for gpu in device)


@dataclass(frozen=True)
class PoolPlan:
    """Replicas of one model.

    Parameters
    ----------
    spec, model, engine
        What is served, and how; the engine with the scenario's own times.
    replicas
        By number.
    rules
        How batches are made.
    instances
        Batches that a device has at once.
    profiles
        What batches go through, by number; grows as sizes are met.
    servers
        Hosts that have the tables, where these are remote.
    """

    spec: RankingPoolSpec
    model: RankingModel
    engine: RankingEngine
    replicas: tuple[ReplicaPlan, ...]
    rules: Rules
    instances: int
    profiles: Sequence[BatchProfile]
    servers: tuple[str, ...] = ()


def plan_pool(
    spec: RankingPoolSpec, *, topology: Topology, gpus: tuple[str, ...], base: Path | None
) -> PoolPlan:
    """Split the GPUs over the replicas and check each.

    Raises
    ------
    InputError
        For an unknown model or engine, and a precision that the GPU has no rate for.
    CannotRunError
        If tables, layers and batches do not fit, or a replica would mix kinds of GPUs.
    """
    planner = _Planner(spec, topology, _model(spec, base), _engine(spec), base)
    each = spec.gpus_per_replica
    groups = [gpus[start : start + each] for start in range(0, len(gpus), each)]
    replicas = tuple(planner.replica(group) for group in groups)
    embeddings = spec.embeddings
    return PoolPlan(
        spec=spec,
        model=planner.model,
        engine=planner.engine,
        replicas=replicas,
        rules=planner.rules,
        instances=planner.instances,
        profiles=planner.profiles,
        servers=server_hosts(topology, embeddings) if embeddings.kind == "remote" else (),
    )


class _Planner:
    """Makes the replicas of a pool; those on alike GPUs share what was computed."""

    def __init__(
        self,
        spec: RankingPoolSpec,
        topology: Topology,
        model: RankingModel,
        engine: RankingEngine,
        base: Path | None,
    ) -> None:
        self._spec = spec
        self._topology = topology
        self.model = model
        self.engine = engine
        self.rules = Rules.of(spec.batching, engine)
        self.instances = engine.instances if spec.instances is None else spec.instances
        self.profiles: list[BatchProfile] = []
        self._tables = ServedTables(
            model, precision=spec.embeddings.precision, once_per_query=spec.user_features == "once"
        )
        self._placing = TablePlanner(
            spec, model, engine, self._tables, topology, self.rules.max_samples, base
        )
        self._known: dict[tuple[str, tuple[int, ...]], tuple[BatchTimer, TablePlace]] = {}

    def replica(self, gpus: tuple[str, ...]) -> ReplicaPlan:
        """Return the replica on some GPUs."""
        timer, place = self._priced(gpus)
        devices = (gpus,) if place.together else tuple((gpu,) for gpu in gpus)
        memory = served_memory(
            self.model,
            self.engine,
            tables_bytes=place.device_bytes,
            precision=self._spec.precision,
            instances=self.instances,
            samples=self.rules.max_samples / len(devices[0]),
            layers=self._spec.dense_on == "gpu",
        )
        memory.check(self._topology.memory_bytes(gpus[0]), who=f"'{self.model.name}'")
        accelerator = self._topology.accelerator(gpus[0])
        hosts = preparing_hosts(self._topology, gpus)
        return ReplicaPlan(devices, accelerator, hosts, timer, memory, place.hit_rate)

    def _priced(self, gpus: tuple[str, ...]) -> tuple[BatchTimer, TablePlace]:
        """Return what batches take on some GPUs; the same for all that are alike and lie alike in nodes."""
        kinds = sorted({self._topology.accelerator_of(gpu) for gpu in gpus})
        if len(kinds) > 1:
            message = f"a replica would mix {' and '.join(kinds)}; place it on GPUs of one kind"
            raise CannotRunError(Problem(("placement",), message))
        per_node = Counter(self._topology.node_of(gpu) for gpu in gpus)
        key = (kinds[0], tuple(per_node.values()))
        if key not in self._known:
            place = self._placing.place(gpus)
            self._known[key] = self._timer(self._topology.accelerator(gpus[0]), place), place
        return self._known[key]

    def _timer(self, accelerator: Accelerator, place: TablePlace) -> BatchTimer:
        timer = RooflineTimer(
            self.model,
            self._spec,
            self.engine,
            accelerator,
            tables=self._tables,
            place=place,
            profiles=self.profiles,
            processor=self._placing.processor_kernels(),
        )
        if self._spec.dense_on == "gpu":
            try:
                timer.dense.layers(1.0, 1.0)
            except CatalogError as error:
                raise InputError(Problem(("precision",), str(error))) from None
        return timer


def _model(spec: RankingPoolSpec, base: Path | None) -> RankingModel:
    try:
        return catalog.ranking_model(spec.model, base=base)
    except CatalogError as error:
        raise InputError(Problem(("model",), str(error))) from None


def _engine(spec: RankingPoolSpec) -> RankingEngine:
    try:
        engine = ENGINES.get(spec.engine)
    except CatalogError as error:
        raise InputError(Problem(("engine",), str(error))) from None
    given = {
        _ENGINE_TIMES[name]: value
        for name in OverheadsSpec.model_fields
        if (value := getattr(spec.overheads, name)) is not None
    }
    return replace(engine, **given)
