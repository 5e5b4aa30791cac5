"""Which replicas a service may have, and where: all that can be known before it runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from clustersim.errors import InputError, PathPart
from clustersim.spec.inference import InferenceSpec
from clustersim.topology import Topology
from clustersim.workloads.inference.cache.build import check_tiers
from clustersim.workloads.inference.fleet.failures import check_replicas
from clustersim.workloads.inference.fleet.weight_loading import weight_sources
from clustersim.workloads.inference.replica.layout import Replica, plan_replicas

__all__ = ["PoolPlan", "plan_pools"]

_ROLES = ("prefill", "decode")


@dataclass(frozen=True)
class PoolPlan:
    """The places of a pool: the service as they see it, and where they are."""

    spec: InferenceSpec
    replicas: tuple[Replica, ...]


def plan_pools(
    spec: InferenceSpec,
    *,
    topology: Topology,
    gpus: tuple[str, ...],
    base: Path | None,
    longest: tuple[int, int],
) -> tuple[PoolPlan, ...]:
    """Divide the GPUs among the pools and their replicas, and check each.

    Parameters
    ----------
    gpus
        Those of the prefill pool before those of the decode pool; in each, consecutive ones make a replica.
    longest
        Most prompt tokens of a request, and what the longest request has beyond them.

    Raises
    ------
    InputError, CannotRunError
        As `plan_replicas` and `check_tiers`; for failures of replicas that there are not; and where weights
        cannot be read from where the scenario says.
    """
    plans: list[PoolPlan] = []
    for place, pool in enumerate(spec.pools):
        own = gpus[: pool.most_replicas * pool.parallelism.gpus] if spec.disaggregation else gpus
        gpus = gpus[len(own) :]
        try:
            replicas = plan_replicas(pool, topology=topology, gpus=own, base=base, longest=longest)
        except InputError as error:
            raise _placed(error, spec, place) from None
        plans.append(PoolPlan(pool, replicas))
    everyone = [replica for plan in plans for replica in plan.replicas]
    check_tiers(spec, topology, [gpu for replica in everyone for gpu in replica.gpus])
    if spec.failures is not None:
        check_replicas(spec.failures, len(everyone))
    if spec.failures is not None or any(plan.spec.autoscaling for plan in plans):
        for replica in everyone:
            weight_sources(topology, replica, spec.startup)
    return tuple(plans)


def _placed(error: InputError, spec: InferenceSpec, place: int) -> InputError:
    """Let problems with what a pool says for itself point there."""
    split = spec.disaggregation
    if split is None:
        return error
    role = _ROLES[place]
    given = {*getattr(split, role).model_fields_set, "replicas", "placement"}

    def path(old: tuple[PathPart, ...]) -> tuple[PathPart, ...]:
        return ("disaggregation", role, *old) if old and old[0] in given else old

    return type(error)([replace(problem, path=path(problem.path)) for problem in error.problems])
