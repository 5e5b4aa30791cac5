"""Recipes of mixture-of-experts runs: the release that a row names decides, and nothing else of the row."""

from __future__ import annotations

import pytest

from clustersim.spec.training import TrainingSpec
from clustersim.study.validation.training.recipes import RECIPES, recipe_of

BRIDGE = "Megatron-Bridge, NeMo container"


def job() -> TrainingSpec:
    return TrainingSpec.model_validate(
        {"kind": "training", "name": "job", "model": "qwen3-30b-a3b", "gpus": 8, "micro_batch": 1, "steps": 1}
    )


@pytest.mark.parametrize(
    ("release", "gpu", "dispatch", "overlap", "drops"),
    [
        ("25.09", "B200-SXM-180GB", "all-to-all", False, True),
        ("25.11", "B200-SXM-180GB", "all-to-all", False, False),
        ("26.02", "B200-SXM-180GB", "all-to-all", False, False),
        ("26.02.01", "B200-SXM-180GB", "deduplicated", False, False),
        ("26.02", "H100-SXM5-80GB", "deduplicated", True, False),
        ("26.04", "H100-SXM5-80GB", "deduplicated", False, False),
        ("26.08", "B200-SXM-180GB", "deduplicated", True, False),
    ],
)
def test_the_newest_line_that_a_row_is_not_older_than_counts(
    release: str, gpu: str, dispatch: str, overlap: bool, drops: bool
) -> None:
    recipe = recipe_of(f"{BRIDGE} {release}", "Qwen3_30B_a3B", gpu)
    assert recipe is not None
    assert (recipe.dispatch, recipe.overlap, recipe.drops) == (dispatch, overlap, drops)


def test_without_a_release_the_newest_counts() -> None:
    newest = recipe_of("Megatron-Bridge", "DeepSeekV3", "B200")
    assert newest is not None
    assert newest.since == max(
        line.since for line in RECIPES if line.model == newest.model and line.gpus == newest.gpus
    )


@pytest.mark.parametrize(
    ("framework", "model", "gpu"),
    [
        ("Megatron-LM", "Qwen3_30B_a3B", "H100"),
        (f"{BRIDGE} 26.04", "Llama-3-70B", "H100"),
        (f"{BRIDGE} 26.04", "Qwen3_30B_a3B", "A100"),
    ],
)
def test_other_frameworks_models_and_gpus_have_none(framework: str, model: str, gpu: str) -> None:
    assert recipe_of(framework, model, gpu) is None


def test_a_recipe_changes_how_a_job_runs_and_not_its_size() -> None:
    recipe = recipe_of(f"{BRIDGE} 26.04.01", "DeepSeekV3", "B200-SXM-180GB")
    assert recipe is not None
    spec = recipe.applied(job())
    assert spec.parallelism.expert_dispatch == "deduplicated"
    assert spec.overlap.expert
    assert spec.host.captured == ("attention", "routing")
    assert set(spec.recompute_modules) == {"latent_projections", "feed_forward"}
    assert TrainingSpec.model_validate(spec.model_dump()) == spec
    assert (spec.gpus, spec.micro_batch, spec.precision) == (job().gpus, job().micro_batch, job().precision)
