"""Which GPUs each replica has, and whether the model can be served on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clustersim import catalog
from clustersim.catalog.models import TransformerModel
from clustersim.cost.serving import ServingCost
from clustersim.errors import CannotRunError, CatalogError, InputError, Problem
from clustersim.spec.inference import InferenceSpec
from clustersim.topology import Topology
from clustersim.workloads.inference.replica.memory import MemoryPlan, plan_memory

__all__ = ["Replica", "plan_replicas"]


@dataclass(frozen=True)
class Replica:
    """One copy of the model: its GPUs, what steps cost on them, how their memory is used."""

    gpus: tuple[str, ...]
    cost: ServingCost
    memory: MemoryPlan
    notes: tuple[str, ...] = ()


def plan_replicas(
    spec: InferenceSpec,
    *,
    topology: Topology,
    gpus: tuple[str, ...],
    base: Path | None,
    longest: tuple[int, int],
) -> tuple[Replica, ...]:
    """Split the GPUs over the replicas and check each.

    Parameters
    ----------
    spec
        What the scenario says.
    topology, gpus
        Consecutive GPUs make a replica.
    base
        Folder that a relative model path starts from.
    longest
        Most prompt tokens of a request, and what the longest request has beyond them.

    Raises
    ------
    InputError
        For a model that does not exist or does not generate text, and a precision that the
        GPU has no rate for.
    CannotRunError
        If the number of GPUs or the heads do not divide, or the model does not fit.
    """
    tensor = spec.parallelism.tensor
    if len(gpus) != spec.replicas * tensor:
        raise CannotRunError(
            Problem(
                ("replicas",),
                f"{spec.replicas} × {tensor} GPUs make {spec.replicas * tensor}, got {len(gpus)}",
            )
        )
    model = _model(spec, base)
    groups = [gpus[start : start + tensor] for start in range(0, len(gpus), tensor)]
    costs = {
        accelerator: _cost(spec, model, accelerator)
        for accelerator in {topology.accelerator_of(gpu) for gpu in gpus}
    }
    return tuple(_replica(spec, topology, group, costs, longest) for group in groups)


def _replica(
    spec: InferenceSpec,
    topology: Topology,
    gpus: tuple[str, ...],
    costs: dict[str, ServingCost],
    longest: tuple[int, int],
) -> Replica:
    kinds = sorted({topology.accelerator_of(gpu) for gpu in gpus})
    if len(kinds) > 1:
        raise CannotRunError(
            Problem(
                ("placement",), f"a replica would mix {' and '.join(kinds)}; place it on GPUs of one kind"
            )
        )
    cost = costs[kinds[0]]
    memory = plan_memory(
        cost,
        scheduler=spec.scheduler,
        memory_bytes=min(topology.memory_bytes(gpu) for gpu in gpus),
        longest=longest,
    )
    return Replica(gpus, cost, memory, _notes(cost.model, longest))


def _model(spec: InferenceSpec, base: Path | None) -> TransformerModel:
    try:
        model = catalog.model(spec.model, base=base)
    except CatalogError as error:
        raise InputError(Problem(("model",), str(error))) from None
    if not isinstance(model, TransformerModel) or not model.causal:
        raise InputError(
            Problem(("model",), f"'{spec.model}' does not generate tokens; a decoder model is expected")
        )
    tensor = spec.parallelism.tensor
    if model.heads % tensor:
        divisors = [str(count) for count in range(1, model.heads + 1) if model.heads % count == 0]
        raise CannotRunError(
            Problem(
                ("parallelism", "tensor"),
                f"{tensor} GPUs do not divide the {model.heads} heads of {model.name}; "
                f"take one of {', '.join(divisors)}",
            )
        )
    return model


def _cost(spec: InferenceSpec, model: TransformerModel, accelerator: str) -> ServingCost:
    try:
        cost = ServingCost(
            model, catalog.accelerator(accelerator), precision=spec.precision, tensor=spec.parallelism.tensor
        )
        cost.dense_step(1, 1)
    except CatalogError as error:
        raise InputError(Problem(("precision",), str(error))) from None
    return cost


def _notes(model: TransformerModel, longest: tuple[int, int]) -> tuple[str, ...]:
    if sum(longest) <= model.max_sequence:
        return ()
    return (
        f"requests may have up to {sum(longest)} tokens, more than the {model.max_sequence} "
        f"that {model.name} was made for; they are served as they are",
    )
