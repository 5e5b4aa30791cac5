"""Opening the engine of a replica: its network, scheduler and step times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clustersim.cost.serving.engine_host import EngineHost
from clustersim.cost.serving.speculative_timer import SpeculativeTimer
from clustersim.cost.serving.step_timer import StepTimer
from clustersim.cost.serving.timer import RooflineTimer
from clustersim.engine.fabric import TrafficClass
from clustersim.engine.world import World
from clustersim.spec.inference import InferenceSpec
from clustersim.workloads.inference.cache.build import Caches
from clustersim.workloads.inference.replica.engine import ReplicaEngine
from clustersim.workloads.inference.replica.exchanges import step_network
from clustersim.workloads.inference.replica.layout import Replica, engine_of
from clustersim.workloads.inference.replica.network import StepNetwork
from clustersim.workloads.inference.replica.pipelined_engine import PipelinedEngine
from clustersim.workloads.inference.replica.table_times import exchanges_measured, table_timer
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.decode_batch import DecodeBatch
from clustersim.workloads.inference.scheduling.make import make_scheduler
from clustersim.workloads.inference.scheduling.speculation import SpeculativeBatch

__all__ = ["EngineHooks", "engine_host", "engine_start_s", "open_engine"]


@dataclass(frozen=True)
class EngineHooks:
    """Whom an engine tells what; see `ReplicaEngine`."""

    on_finish: Callable[[Request], None]
    on_prefilled: Callable[[Request], None] | None = None
    on_chunk: Callable[[Request, int, float], None] | None = None


def open_engine(
    world: World,
    replica: Replica,
    *,
    spec: InferenceSpec,
    number: int,
    base: Path | None,
    timer: StepTimer | None,
    hooks: EngineHooks,
    caches: Caches,
) -> ReplicaEngine:
    """Make the engine of a replica, which begins to wait for requests.

    Parameters
    ----------
    spec
        Of the pool that the replica is in.
    number
        Of the replica in the service.
    base
        Folder that the paths of collectives' files start from.
    timer
        Step times in place of the roofline's.
    hooks
        Whom it tells what.
    caches
        What makes the KV caches of the service's replicas.
    """
    name = f"{spec.name}.{number}"
    cache = caches.cache(replica, spec.scheduler)
    network = None
    if not exchanges_measured(spec, base=base):
        network = step_network(
            world,
            replica.gpus,
            replica.cost,
            owner=name,
            collective=spec.collective,
            traffic=TrafficClass(spec.traffic.priority, spec.traffic.weight),
            base=base,
            kernel_bytes=engine_of(spec).all_reduce_kernel_bytes,
        )
    engine = PipelinedEngine if spec.parallelism.pipeline > 1 else ReplicaEngine
    return engine(
        world,
        name=name,
        arrivals_lane=f"{spec.name}/arrivals",
        scheduler=make_scheduler(
            spec.scheduler,
            cache,
            longest_tokens=replica.memory.longest_tokens,
            decoding=_decoding(world, spec),
            pipeline=spec.parallelism.pipeline,
            weights={number: tenant.weight for number, tenant in enumerate(spec.tenants)},
        ),
        timer=timer or _timer(replica, spec, network, base),
        network=network,
        skip_ahead=spec.skip_ahead,
        on_finish=hooks.on_finish,
        on_prefilled=hooks.on_prefilled,
        on_chunk=hooks.on_chunk,
        mover=caches.mover(replica, cache, spec.scheduler, name=name),
    )


def engine_start_s(spec: InferenceSpec) -> float:
    """Return how long an engine takes to start, before it reads its weights."""
    given = spec.startup.engine
    return given if given is not None else engine_of(spec).start_s


def engine_host(spec: InferenceSpec, replica: Replica) -> EngineHost:
    """Return what the engine's host does in a step."""
    return EngineHost.of(
        engine_of(spec),
        replica.cost.accelerator,
        layers=replica.cost.model.layers,
        serial_s=spec.host_overhead,
        graphs=spec.techniques.cuda_graphs,
    )


def _timer(
    replica: Replica, spec: InferenceSpec, network: StepNetwork | None, base: Path | None
) -> StepTimer:
    if spec.step_times is not None:
        return table_timer(spec, replica.cost.model, base=base)
    host = engine_host(spec, replica)
    network_s = (lambda tokens: network.alone(tokens).seconds) if network is not None else None
    speculation = spec.techniques.speculation
    if speculation is None:
        return RooflineTimer(replica.cost, host=host, network_s=network_s)
    return SpeculativeTimer(replica.cost, host=host, network_s=network_s, guesses=speculation.tokens)


def _decoding(world: World, spec: InferenceSpec) -> DecodeBatch | None:
    """Return the batch of requests that decode; None: one token per request and step."""
    speculation = spec.techniques.speculation
    if speculation is None:
        return None
    seed = int(world.random(spec.name, "speculation").integers(1 << 63))
    return SpeculativeBatch(
        spec.scheduler.block_tokens,
        guesses=speculation.tokens,
        acceptance=speculation.acceptance,
        seed=seed,
    )
