"""Which GPUs each replica has, and whether the model can be served on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clustersim import catalog
from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.models import TransformerModel
from clustersim.catalog.serving import SHELF as ENGINES
from clustersim.catalog.serving import InferenceEngine
from clustersim.cost.number_formats import NumberFormats
from clustersim.cost.serving.adapter_mix import AdapterMix
from clustersim.cost.serving.layout import ServingLayout
from clustersim.cost.serving.serving_cost import ServingCost
from clustersim.errors import CannotRunError, CatalogError, InputError, Problem
from clustersim.spec.inference import InferenceSpec
from clustersim.topology import Topology
from clustersim.workloads.inference.replica.memory import MemoryPlan, plan_memory
from clustersim.workloads.inference.replica.table_times import check_step_times

__all__ = ["Replica", "engine_of", "plan_replicas"]


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
        If the model cannot lie as `parallelism` says, or does not fit.
    """
    each = spec.parallelism.gpus
    if len(gpus) != spec.most_replicas * each:
        raise CannotRunError(
            Problem(
                ("replicas",),
                f"{spec.most_replicas} × {each} GPUs make {spec.most_replicas * each}, got {len(gpus)}",
            )
        )
    model = _model(spec, base)
    check_step_times(spec, model, base=base)
    layout = _layout(spec, model)
    groups = [gpus[start : start + each] for start in range(0, len(gpus), each)]
    devices = {topology.accelerator_of(gpu): topology.accelerator(gpu) for gpu in gpus}
    costs = {name: _cost(spec, model, device, layout, base) for name, device in devices.items()}
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
    return _decoder(spec.model, base, ("model",))


def _decoder(name: str, base: Path | None, place: tuple[str, ...]) -> TransformerModel:
    try:
        model = catalog.model(name, base=base)
    except CatalogError as error:
        raise InputError(Problem(place, str(error))) from None
    if not isinstance(model, TransformerModel) or not model.causal:
        raise InputError(Problem(place, f"'{name}' does not generate tokens; a decoder model is expected"))
    return model


def _layout(spec: InferenceSpec, model: TransformerModel) -> ServingLayout:
    given = spec.parallelism
    layout = ServingLayout(
        tensor=given.tensor,
        pipeline=given.pipeline,
        data=given.data,
        expert=given.expert,
        expert_load=given.expert_load,
        expert_exchange=given.chosen_dispatch,
    )
    problems = layout.problems(model)
    if problems:
        raise CannotRunError(*(Problem(("parallelism", field), reason) for field, reason in problems))
    return layout


def _cost(
    spec: InferenceSpec,
    model: TransformerModel,
    device: Accelerator,
    layout: ServingLayout,
    base: Path | None,
) -> ServingCost:
    draft = spec.techniques.speculation.draft if spec.techniques.speculation else None
    cost = ServingCost(
        model,
        device,
        layout=layout,
        formats=_formats(spec),
        adapters=_adapters(spec, device),
        draft=_draft(spec, draft, device, base) if draft is not None else None,
        prompt_attention_times=engine_of(spec).prompt_attention_on(device.name),
        narrow_product_times=engine_of(spec).narrow_product_times,
    )
    try:
        cost.dense_step(1, 1)
    except CatalogError as error:
        place = ("techniques", "activations") if spec.techniques.activations else ("precision",)
        raise InputError(Problem(place, str(error))) from None
    return cost


def engine_of(spec: InferenceSpec) -> InferenceEngine:
    """Return the engine of a service.

    Raises
    ------
    InputError
        For one that the catalogue does not have.
    """
    try:
        return ENGINES.get(spec.engine)
    except CatalogError as error:
        raise InputError(Problem(("engine",), str(error))) from None


def _formats(spec: InferenceSpec) -> NumberFormats:
    techniques = spec.techniques
    return NumberFormats(
        precision=spec.precision,
        weights=techniques.weights,
        activations=techniques.activations,
        kv=spec.kv_cache.precision,
        sparse=techniques.sparsity is not None,
    )


def _adapters(spec: InferenceSpec, device: Accelerator) -> AdapterMix | None:
    lora = spec.techniques.lora
    if lora is None:
        return None
    return AdapterMix(
        count=lora.adapters,
        rank=lora.rank,
        resident=lora.resident or lora.adapters,
        skew=lora.skew,
        swap_bytes_per_s=lora.swap_bandwidth * device.speed.host,
    )


def _draft(spec: InferenceSpec, name: str, device: Accelerator, base: Path | None) -> ServingCost:
    """Return the cost of a draft model: whole on one GPU, in the model's plain precision."""
    model = _decoder(name, base, ("techniques", "speculation", "draft"))
    return ServingCost(model, device, precision=spec.precision)


def _notes(model: TransformerModel, longest: tuple[int, int]) -> tuple[str, ...]:
    if sum(longest) <= model.max_sequence:
        return ()
    return (
        f"requests may have up to {sum(longest)} tokens, more than the {model.max_sequence} "
        f"that {model.name} was made for; they are served as they are",
    )
