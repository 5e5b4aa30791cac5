"""Techniques of training ranking models."""

from __future__ import annotations

from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.ranking_frameworks import ranking_framework
from clustersim.spec.ranking.training import RankingTrainingSpec
from clustersim.study.explain.for_training import has_precision
from clustersim.study.explain.technique import Change, NotHere, Technique
from clustersim.workloads.ranking.training.costs import forward_precision

__all__ = ["TECHNIQUES"]

_WHOLE = ("fp32", "tf32")


def _mixed_precision(spec: RankingTrainingSpec, accelerator: Accelerator) -> Change | NotHere:
    if spec.precision in _WHOLE:
        half = "bf16" if has_precision(accelerator, "bf16") else "fp16"
        return Change({"precision": half}, f"dense part in {half} in place of {spec.precision}")
    whole = "tf32" if has_precision(accelerator, "tf32") else "fp32"
    words = f"dense part in {spec.precision} in place of {whole}"
    return Change({"precision": whole}, words, turns_on=False)


def _exchange(spec: RankingTrainingSpec, accelerator: Accelerator) -> Change | NotHere:
    if spec.gpus == 1:
        return NotHere("nothing travels between GPUs")
    now = forward_precision(spec, ranking_framework(spec.framework))
    if now != "fp32":
        off = {"exchange.forward": "fp32", "exchange.backward": "fp32"}
        return Change(off, f"embeddings travel in {now} in place of fp32", turns_on=False)
    on = {"exchange.forward": "fp16", "exchange.backward": "bf16"}
    return Change(on, "embeddings travel in fp16, their gradients in bf16")


def _tables(spec: RankingTrainingSpec, accelerator: Accelerator) -> Change | NotHere:
    if spec.embedding_precision == "fp32":
        return Change({"embedding_precision": "fp16"}, "rows of tables in fp16")
    words = f"rows of tables in {spec.embedding_precision}"
    return Change({"embedding_precision": "fp32"}, words, turns_on=False)


def _batching(spec: RankingTrainingSpec, accelerator: Accelerator) -> Change | NotHere:
    field = "batch" if spec.batch is not None else "global_batch"
    size = getattr(spec, field)
    return Change({field: 2 * size}, f"{field.replace('_', ' ')} {2 * size:,} in place of {size:,}")


def _planning(spec: RankingTrainingSpec, accelerator: Accelerator) -> Change | NotHere:
    if spec.gpus == 1:
        return NotHere("tables on one GPU are not divided")
    sharding = spec.sharding
    plan = sharding.plan or ranking_framework(spec.framework).sharding.get("plan", "greedy")
    if sharding.file is None and plan == "greedy" and not sharding.tables:
        return Change(
            {"sharding": {"plan": "table-wise"}}, "greedy plan in place of table-wise", turns_on=False
        )
    own = "a plan of one's own" if sharding.file is not None else plan
    return Change({"sharding": {"plan": "greedy"}}, f"greedy plan in place of {own}")


def _graphs(spec: RankingTrainingSpec, accelerator: Accelerator) -> Change | NotHere:
    usual = ranking_framework(spec.framework).on_host(accelerator.kernel_launch_s).cuda_graphs
    on = usual if spec.host.cuda_graphs is None else spec.host.cuda_graphs
    return Change({"host.cuda_graphs": not on}, "dense part as CUDA graphs", turns_on=not on)


def _smaller(spec: RankingTrainingSpec, accelerator: Accelerator) -> Change | NotHere:
    return NotHere("ranking models have no family of sizes; run the smaller model beside this one")


TECHNIQUES = (
    Technique("mixed precision", _mixed_precision, same_answers=False),
    Technique("half-precision exchange", _exchange, same_answers=False),
    Technique("half-precision tables", _tables, same_answers=False),
    Technique("batching", _batching, same_answers=False),
    Technique("planned sharding", _planning, same_answers=True),
    Technique("CUDA graphs", _graphs, same_answers=True),
    Technique("distillation and pruning", _smaller, same_answers=False),
)
"""In the order of the table; a larger batch is another training run."""
