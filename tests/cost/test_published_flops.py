"""FLOPs of models beside those that their authors, or others who counted, have published."""

from __future__ import annotations

import csv

import pytest

from clustersim import catalog
from clustersim.cost.training.flops import StepFlops
from clustersim.cost.training.training_cost import training_cost

TABLE_NAMES = {
    "GPT-2 1.5B": "gpt2-xl",
    "GPT3-5B (NeMo)": "gpt3-5b-nemo",
    "GPT3-20B (NeMo)": "gpt3-20b-nemo",
    "Megatron 22B (Korthikanti)": "megatron-22b",
    "Megatron-Turing NLG 530B": "megatron-turing-530b",
    "BLOOM 176B": "bloom-176b",
    "LLaMA-65B": "llama-65b",
}
WITHOUT_LOOK_UP = ("gpt-oss-120b",)
"""Active parameters are published without the token embedding (OpenAI, gpt-oss model card, table 1)."""


def flops(name: str, sequence: int | None = None) -> StepFlops:
    model, device = catalog.model(name), catalog.accelerator("h100-sxm5-80gb")
    return training_cost(model, device, precision="bf16", micro_batch=1, sequence=sequence).flops


@pytest.mark.parametrize(
    ("name", "multiply_adds"),
    [
        # torchvision's model cards ("GFLOPS", which count multiply-adds), 224 × 224 pixels
        ("resnet-50", 4.09e9),
        ("resnet-101", 7.80e9),
        ("resnet-152", 11.51e9),
        ("vit-b-16", 17.56e9),
        ("vit-l-16", 61.55e9),
        ("vit-h-14", 167.29e9),
    ],
)
def test_an_image_takes_as_many_multiply_adds_as_its_model_card_says(name, multiply_adds):
    # three forward passes make a step; a multiply-add is two
    assert flops(name).model / 6 == pytest.approx(multiply_adds, rel=0.001)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # DeepSeek-AI, "Insights into DeepSeek-V3", ISCA 2025 (arXiv:2505.09343), table 2: GFLOP per token
        # at 4,096 tokens
        ("deepseek-v3", 250e9),
        ("llama-3.1-405b", 2448e9),
    ],
)
def test_a_token_takes_the_flops_that_deepseek_counts_under_a_causal_mask(name, published):
    assert flops(name, 4096).model_without_masked / 4096 == pytest.approx(published, rel=0.012)


@pytest.mark.parametrize(
    ("name", "sequence", "run_flops", "tokens"),
    [
        ("gpt3-175b", 2048, 3.14e23, 300e9),  # Brown et al., NeurIPS 2020, table D.1
        ("palm-540b", 2048, 2.527e24, 780e9),  # Chowdhery et al., arXiv:2204.02311, table 21
        ("llama-3.1-405b", 8192, 3.8e25, 15.6e12),  # Llama team, arXiv:2407.21783, section 3.2
    ],
)
def test_runs_whose_authors_count_six_per_weight_and_token_come_out_without_attention(
    name, sequence, run_flops, tokens
):
    found = flops(name, sequence)
    weights_alone = (found.model - 3 * found.pairs) / sequence
    assert tokens * weights_alone == pytest.approx(run_flops, rel=0.01)


def test_every_model_of_the_reference_table_takes_six_per_active_weight_and_token(shared):
    """The table states active parameters to two or three digits; look-ups are no products."""
    with shared("truth/models.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        name = TABLE_NAMES.get(row["model"], row["model"].lower().replace(" ", "-"))
        model = catalog.model(name)
        sequence = min(2048, model.max_sequence)
        found = flops(name, sequence)
        looked_up = model.embedding_parameters - (model.vocab * model.hidden if model.tied_embeddings else 0)
        if name in WITHOUT_LOOK_UP:
            looked_up = 0
        published = float(row["params_active_b"]) * 1e9 - looked_up - model.other_parameters
        if name == "bert-large":
            continue  # the output layer sees masked tokens only
        assert (found.model - 3 * found.pairs) / sequence == pytest.approx(6 * published, rel=0.04), name
