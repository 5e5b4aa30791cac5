"""Techniques of serving ranking models."""

from __future__ import annotations

from clustersim.catalog.accelerators import Accelerator
from clustersim.spec.ranking.inference import RankingInferenceSpec
from clustersim.study.explain.for_training import has_precision
from clustersim.study.explain.technique import Change, NotHere, Technique

__all__ = ["TECHNIQUES"]


def _quantisation(spec: RankingInferenceSpec, accelerator: Accelerator) -> Change | NotHere:
    if spec.precision in ("int8", "fp8"):
        return Change({"precision": "fp16"}, f"layers in {spec.precision} in place of fp16", turns_on=False)
    if not has_precision(accelerator, "int8"):
        return NotHere(f"{accelerator.name} has no int8 products")
    return Change({"precision": "int8"}, f"layers in int8 in place of {spec.precision}")


def _mixed_precision(spec: RankingInferenceSpec, accelerator: Accelerator) -> Change | NotHere:
    if spec.precision in ("fp32", "tf32"):
        return Change({"precision": "fp16"}, f"layers in fp16 in place of {spec.precision}")
    return Change({"precision": "fp32"}, f"layers in {spec.precision} in place of fp32", turns_on=False)


def _tables(spec: RankingInferenceSpec, accelerator: Accelerator) -> Change | NotHere:
    now = spec.embeddings.precision
    if now in ("int8", "fp8"):
        return Change(_with_rows_in(spec, "fp16"), f"rows in {now} in place of fp16", turns_on=False)
    return Change(_with_rows_in(spec, "int8"), f"rows in int8 in place of {now}")


def _with_rows_in(spec: RankingInferenceSpec, precision: str) -> dict[str, object]:
    return {"embeddings": {**spec.embeddings.model_dump(mode="json"), "precision": precision}}


def _batching(spec: RankingInferenceSpec, accelerator: Accelerator) -> Change | NotHere:
    words = "samples of several queries in a batch, in place of at most 256"
    return Change({"batching.max_samples": 256}, words, turns_on=False)


def _user_features(spec: RankingInferenceSpec, accelerator: Accelerator) -> Change | NotHere:
    on = spec.user_features == "once"
    words = "tables of the user looked up once for a query"
    return Change({"user_features": "per-candidate" if on else "once"}, words, turns_on=not on)


def _smaller(spec: RankingInferenceSpec, accelerator: Accelerator) -> Change | NotHere:
    return NotHere("ranking models have no family of sizes; run the smaller model beside this one")


TECHNIQUES = (
    Technique("mixed precision", _mixed_precision, same_answers=False),
    Technique("quantisation", _quantisation, same_answers=False),
    Technique("8-bit tables", _tables, same_answers=False),
    Technique("batching", _batching, same_answers=True),
    Technique("user features once", _user_features, same_answers=True),
    Technique("distillation and pruning", _smaller, same_answers=False),
)
"""In the order of the table."""
