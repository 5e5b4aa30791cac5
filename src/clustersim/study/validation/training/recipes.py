"""What recipes of Megatron-Bridge do for models with experts: by release, model and GPU.

Published tables print the layout. How tokens get to their experts, what the exchange runs beside, what is
captured in CUDA graphs and what is recomputed stand in the recipes that the tables were made with. Nothing
here depends on a row or on a measurement.

**Source:** NVIDIA-NeMo/Megatron-Bridge, scripts/performance at the tag of each release: run_script.py at
v0.1.0rc4 (container 25.09), configs/*/*workload_base_configs.py at v0.2.0 (25.11), v0.3.0 (26.02), v0.3.1
(26.02.01), v0.4.0 (26.04), v0.4.2 (26.04.01), v0.5.0 (26.06) and v0.5.1 (26.06.01).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from clustersim.spec.training import TrainingSpec

__all__ = ["RECIPES", "Recipe", "recipe_of"]

_NEWEST = (99,)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the recipes of a model do on some GPUs from a release on.

    Parameters
    ----------
    since
        Year, month and patch of the container.
    model, gpus
        Regular expressions of what tables call them.
    dispatch
        As in `clustersim.spec.parallelism.TrainingParallelismSpec`: DeepEP and HybridEP are `deduplicated`.
    overlap
        `overlap_moe_expert_parallel_comm`: the exchange runs beside the other pass.
    captured
        As in `clustersim.spec.host.HostSpec`.
    modules
        What is recomputed: as `recompute_modules` of `clustersim.spec.training.TrainingSpec`.
    drops
        Experts take their balanced share of tokens, padded to it; the rest is dropped.
    """

    since: tuple[int, ...]
    model: str
    gpus: str
    dispatch: Literal["all-to-all", "deduplicated"] = "all-to-all"
    overlap: bool = False
    drops: bool = False
    captured: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    def applied(self, spec: TrainingSpec) -> TrainingSpec:
        """Return a job as the recipe runs it."""
        layout: dict[str, Any] = {"expert_dispatch": self.dispatch}
        if self.drops:
            layout["capacity_factor"] = 1.0
        update = {
            "parallelism": spec.parallelism.model_copy(update=layout),
            "overlap": spec.overlap.model_copy(update={"expert": self.overlap}),
            "host": spec.host.model_copy(update={"captured": self.captured}),
            "recompute_modules": self.modules,
        }
        return spec.model_copy(update=update)


_HOPPER, _BLACKWELL, _RACKS = r"h[12]00", r"\bb[23]00", r"gb[23]00"
_DEEPSEEK, _LARGE_QWEN, _SMALL_QWEN, _GPT_OSS = (
    r"deepseek.?v3",
    r"qwen3.?235b",
    r"qwen3.?30b",
    r"gpt.?oss",
)


_CAPTURED = {
    "router": ("routing",),
    "attention": ("attention", "routing"),
    "iteration": ("attention", "routing", "experts"),
}
"""`cuda_graph_scope`: moe_router and moe_preprocess; attn too; the whole iteration."""

_RECOMPUTED = {
    "up": "latent_projections",
    "mlp": "feed_forward",
    "act": "expert_activation",
    "norm": "norms",
}
"""`recompute_modules`: mla_up_proj, mlp, moe_act, layernorm."""


def _recipe(since: str, model: str, gpus: str, how: str) -> Recipe:
    words = how.split()
    return Recipe(
        since=_release(since),
        model=model,
        gpus=gpus,
        dispatch="deduplicated" if "ep" in words else "all-to-all",
        overlap="beside" in words,
        drops="drops" in words,
        modules=tuple(_RECOMPUTED[word] for word in words if word in _RECOMPUTED),
        captured=next((_CAPTURED[word] for word in words if word in _CAPTURED), ()),
    )


def _release(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


RECIPES = tuple(
    _recipe(*line)
    for line in (
        ("25.09", _DEEPSEEK, _HOPPER, "ep beside up mlp"),
        ("26.02", _DEEPSEEK, _HOPPER, "ep up mlp"),
        ("25.09", _DEEPSEEK, _BLACKWELL, "drops up"),
        ("25.11", _DEEPSEEK, _BLACKWELL, "up"),
        ("26.02", _DEEPSEEK, _BLACKWELL, "ep up"),
        ("26.04.01", _DEEPSEEK, r"\bb200", "ep beside attention up mlp"),
        ("26.04.01", _DEEPSEEK, r"\bb300", "ep attention up"),
        ("26.06.01", _DEEPSEEK, r"\bb300", "ep beside iteration up"),
        ("25.11", _DEEPSEEK, r"gb200", "ep router up"),
        ("25.11", _DEEPSEEK, r"gb300", "ep attention act"),
        ("26.02", _DEEPSEEK, r"gb300", "ep up"),
        ("26.02", _DEEPSEEK, r"gb200", "ep attention up"),
        ("26.06", _DEEPSEEK, _RACKS, "ep beside iteration up"),
        ("25.09", _LARGE_QWEN, "", "drops"),
        ("25.11", _LARGE_QWEN, _HOPPER, "beside"),
        ("26.02.01", _LARGE_QWEN, _HOPPER, "ep beside"),
        ("26.04", _LARGE_QWEN, _HOPPER, "beside"),
        ("25.11", _LARGE_QWEN, _BLACKWELL, "beside"),
        ("26.02", _LARGE_QWEN, r"\bb200", ""),
        ("26.02.01", _LARGE_QWEN, _BLACKWELL, "ep"),
        ("26.04", _LARGE_QWEN, _BLACKWELL, ""),
        ("26.04.01", _LARGE_QWEN, r"\bb300", "ep"),
        ("26.06.01", _LARGE_QWEN, _BLACKWELL, "ep beside iteration"),
        ("25.11", _LARGE_QWEN, r"gb200", "ep attention"),
        ("25.11", _LARGE_QWEN, r"gb300", "ep router"),
        ("26.02", _LARGE_QWEN, r"gb300", "ep attention"),
        ("26.06", _LARGE_QWEN, _RACKS, "ep beside iteration"),
        ("25.11", _SMALL_QWEN, _HOPPER, "beside"),
        ("26.02", _SMALL_QWEN, _HOPPER, "ep beside"),
        ("26.02.01", _SMALL_QWEN, _HOPPER, "ep"),
        ("25.09", _SMALL_QWEN, _HOPPER, "drops"),
        ("25.09", _SMALL_QWEN, _BLACKWELL, "drops iteration"),
        ("25.11", _SMALL_QWEN, _BLACKWELL, "router"),
        ("26.02", _SMALL_QWEN, r"\bb300", "ep router"),
        ("26.02.01", _SMALL_QWEN, r"\bb200", "ep attention"),
        ("26.06", _SMALL_QWEN, r"\bb300", "ep beside iteration"),
        ("26.06.01", _SMALL_QWEN, _BLACKWELL, "ep beside iteration"),
        ("25.11", _SMALL_QWEN, _RACKS, "ep router"),
        ("26.06", _SMALL_QWEN, _RACKS, "ep beside iteration"),
        ("25.11", _GPT_OSS, r"b200|h[12]00", "norm act"),
        ("25.11", _GPT_OSS, r"b300", "attention"),
        ("26.04", _GPT_OSS, r"\bb200", "ep norm act"),
        ("26.04", _GPT_OSS, r"\bb300", "ep attention"),
        ("26.04.01", _GPT_OSS, r"\bb200", "norm act"),
        ("26.04", _GPT_OSS, r"gb200", "ep beside norm act"),
        ("26.04.01", _GPT_OSS, r"gb200", "beside norm act"),
        ("26.06", _GPT_OSS, _RACKS, "ep beside iteration"),
    )
)
"""Lines of release, model, GPUs, and how: `ep` for DeepEP or HybridEP, `beside` for an exchange that runs
beside computation, `drops` for experts with a capacity, and what is captured
and recomputed. The newest line that a row is
not older than counts."""


def recipe_of(framework: str, model: str, gpu: str) -> Recipe | None:
    """Return the recipe that a row was run with; None for models that have none here.

    Parameters
    ----------
    framework, model, gpu
        In the words of the table; without a release in `framework` the newest counts.
    """
    if not re.search(r"megatron-?\s*bridge|nemo container", framework, re.IGNORECASE):
        return None
    found = re.search(r"\b(2\d\.\d\d(?:\.\d+)?)", framework)
    release = _release(found[1]) if found else _NEWEST
    fitting = [
        recipe
        for recipe in RECIPES
        if recipe.since <= release
        and re.search(recipe.model, model, re.IGNORECASE)
        and re.search(recipe.gpus, gpu, re.IGNORECASE)
    ]
    return max(fitting, key=lambda recipe: recipe.since, default=None)
