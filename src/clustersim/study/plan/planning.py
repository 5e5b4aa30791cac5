"""`plan`: search the layouts of a job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clustersim.errors import CannotRunError, InputError
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.scenario import Scenario
from clustersim.study.executor import usable_cores
from clustersim.study.plan.evaluator import Evaluator
from clustersim.study.plan.job import describe_plan, space_of
from clustersim.study.plan.journal import Journal
from clustersim.study.plan.result import Plan
from clustersim.study.plan.search import Found, Progress, Search
from clustersim.study.plan.space import Limits, SearchSpace
from clustersim.study.servers import Servers

__all__ = ["plan"]

_FEW = 24
"""Layouts that are not worth processes of their own."""


def plan(
    model: str,
    cluster: Path | str | ClusterSpec | Scenario,
    *,
    gpus: int,
    global_batch: int,
    sequence: int | None = None,
    precision: str = "bf16",
    optimizer: str = "adam",
    attention: str = "fused",
    changes: Mapping[str, Any] | None = None,
    max_tensor: int | None = None,
    max_pipeline: int = 64,
    max_context: int = 64,
    max_expert: int = 64,
    max_micro_batch: int = 8,
    top: int = 10,
    within: float = 1.5,
    jobs: int | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Search the layouts of a training job: the fastest, and why the others are slower.

    Layouts (`clustersim.study.plan.space.RULES`) that do not fit into memory are dropped; of the rest, those
    are simulated that a lower bound of their time does not rule out.

    Parameters
    ----------
    model
        Of the catalogue, or the path of a model file.
    cluster
        A topology or scenario file, of which the cluster is taken, or what one holds.
    gpus
        Of the job: the first ones of the cluster.
    global_batch
        Samples per optimizer step.
    sequence
        Tokens per sample. Default: the model's maximum.
    precision, optimizer, attention
        As `clustersim.spec.training.TrainingSpec`.
    changes
        Further changes of the scenario that all layouts share, by dotted path: `cluster.fabric.bandwidth`,
        `workloads.plan.overlap.tensor`.
    max_tensor, max_pipeline, max_context, max_expert, max_micro_batch
        Largest sizes that are looked at.
    top
        How many of the fastest have to be right.
    within
        How many times the best time the slowest layout of the Pareto front may take.
    jobs
        Processes at once. Default: one per core. The answer does not depend on it.
    out
        Folder that keeps every simulated layout at once, and in the end the plan.
    resume
        Go on with a search that was stopped, in `out`.
    progress
        Called with the fraction done and the best time so far.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        For unknown names, a global batch that no layout divides, and results in `out` without `resume`.
    CannotRunError
        If no layout fits: the one that is nearest.

    Examples
    --------
    >>> import clustersim as cs
    >>> star = "topologies/star-dgx-a100-2.yaml"
    >>> found = cs.plan("llama-2-7b", star, gpus=16, global_batch=64)  # doctest: +SKIP
    """
    if resume and out is None:
        raise InputError("a search is resumed from the folder that it kept its results in; name it as 'out'")
    if top < 1 or within < 1.0:
        raise InputError(f"'top' and 'within' are 1 or more, got {top} and {within:g}")
    scenario = describe_plan(
        model,
        cluster,
        gpus=gpus,
        global_batch=global_batch,
        job={"sequence": sequence, "precision": precision, "optimizer": optimizer, "attention": attention},
        changes=changes or {},
    )
    limits = Limits(
        tensor=max_tensor,
        pipeline=max_pipeline,
        context=max_context,
        expert=max_expert,
        micro_batch=max_micro_batch,
    )
    space, topology = space_of(scenario, limits)
    ladders = list(space.ladders())
    if not ladders:
        raise _nothing_divides(space)
    memory_bytes = min(topology.memory_bytes(gpu) for gpu in topology.gpus[:gpus])
    journal = Journal(None if out is None else Path(out), scenario, resume=resume)
    try:
        search = Search(ladders, top=top, within=within, journal=journal, progress=progress)
        processes = usable_cores() if jobs is None else jobs
        with Servers(Evaluator, scenario, jobs=processes if len(ladders) > _FEW else 1) as servers:
            found = search.run(servers)
    finally:
        journal.close()
    _check(found, memory_bytes)
    result = Plan(scenario=scenario, found=found, memory_bytes=memory_bytes, top=top, within=within)
    if out is not None:
        result.save(out)
    return result


def _nothing_divides(space: SearchSpace) -> InputError:
    base = space.base
    return InputError(
        f"no layout of {base.gpus} GPUs divides a global batch of {base.global_batch} and "
        f"{space.model.name}: replicas × micro_batch have to divide the global batch, with as many "
        "micro-batches as stages or more; take a power of two, or fewer GPUs"
    )


def _check(found: Found, memory_bytes: float) -> None:
    """Refuse a search without a layout that runs."""
    if found.simulated:
        return
    if found.failed:
        first = found.failed[0]
        error = "" if first.simulated is None else first.simulated.error
        raise CannotRunError(
            f"none of {len(found.failed)} layouts could be simulated; {first.words}: {error}"
        )
    if not found.unfit:
        first = found.indivisible[0]
        raise InputError(f"no layout can be made; {first.words}: {first.assessed.reason}")
    nearest = found.unfit[0]
    parts = ", ".join(
        f"{use.replace('_', ' ')} {_gib(size)}" for use, size in nearest.assessed.memory.items() if size
    )
    raise CannotRunError(
        f"none of {len(found.unfit)} layouts fits into {_gib(memory_bytes)} of GPU memory; the nearest is "
        f"{nearest.words}, which needs {_gib(nearest.assessed.memory_bytes)} ({parts}); take more GPUs, GPUs "
        "with more memory, or shorter sequences"
    )


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:.3g} GiB"
