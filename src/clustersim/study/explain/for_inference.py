"""Techniques of LLM inference."""

from __future__ import annotations

from clustersim.catalog.accelerators import Accelerator
from clustersim.spec.inference import InferenceSpec
from clustersim.study.explain.for_training import has_precision
from clustersim.study.explain.smaller_model import next_smaller
from clustersim.study.explain.technique import Change, NotHere, Technique

__all__ = ["TECHNIQUES"]


def _quantisation(spec: InferenceSpec, accelerator: Accelerator) -> Change | NotHere:
    now = spec.techniques
    if now.weights is not None:
        off = {"techniques.weights": None, "techniques.activations": None}
        return Change(off, f"weights in {now.weights}", turns_on=False)
    low = "fp8" if has_precision(accelerator, "fp8") else "int8"
    if not has_precision(accelerator, low):
        return Change({"techniques.weights": "int4"}, "weights in int4")
    on = {"techniques.weights": low, "techniques.activations": low}
    return Change(on, f"weights and activations in {low}")


def _kv_precision(spec: InferenceSpec, accelerator: Accelerator) -> Change | NotHere:
    if spec.kv_cache.precision not in (None, "fp16", "bf16"):
        words = f"keys and values in {spec.kv_cache.precision}"
        return Change({"kv_cache.precision": None}, words, turns_on=False)
    return Change({"kv_cache.precision": "fp8"}, "keys and values in fp8")


def _prefix_caching(spec: InferenceSpec, accelerator: Accelerator) -> Change | NotHere:
    if spec.kv_cache.prefix_caching:
        off = {"kv_cache.prefix_caching": False, "kv_cache.tiers": []}
        return Change(off, "prefixes kept", turns_on=False)
    return Change({"kv_cache.prefix_caching": True}, "prefixes kept")


def _batching(spec: InferenceSpec, accelerator: Accelerator) -> Change | NotHere:
    if spec.scheduler.max_batch == 1:
        return Change({"scheduler.max_batch": 256}, "up to 256 requests at once")
    words = f"up to {spec.scheduler.max_batch} requests at once in place of one"
    return Change({"scheduler.max_batch": 1}, words, turns_on=False)


def _graphs(spec: InferenceSpec, accelerator: Accelerator) -> Change | NotHere:
    on = spec.techniques.cuda_graphs
    return Change({"techniques.cuda_graphs": not on}, "decode steps as CUDA graphs", turns_on=not on)


def _distillation(spec: InferenceSpec, accelerator: Accelerator) -> Change | NotHere:
    student = next_smaller(spec.model)
    if student is None:
        return NotHere(f"the catalogue has no smaller model of the family of {spec.model}")
    return Change({"model": student}, f"{student} in place of {spec.model}")


def _pruning(spec: InferenceSpec, accelerator: Accelerator) -> Change | NotHere:
    on = spec.techniques.sparsity is not None
    return Change({"techniques.sparsity": None if on else "2:4"}, "2:4 sparsity", turns_on=not on)


TECHNIQUES = (
    Technique("quantisation", _quantisation, same_answers=False),
    Technique("KV cache in 8 bits", _kv_precision, same_answers=False),
    Technique("prefix caching", _prefix_caching, same_answers=True),
    Technique("batching", _batching, same_answers=True),
    Technique("CUDA graphs", _graphs, same_answers=True),
    Technique("distillation", _distillation, same_answers=False),
    Technique("pruning", _pruning, same_answers=False),
)
"""In the order of the table."""
