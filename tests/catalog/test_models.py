"""Models: parameters equal published counts; config.json files are read or refused clearly."""

import csv
import json

import pytest

from clustersim import catalog
from clustersim.catalog.models import TransformerModel
from clustersim.errors import CatalogError, InputError

TRANSFORMERS = [name for name in catalog.names("models") if isinstance(catalog.model(name), TransformerModel)]
# the authors round these sizes to two digits
ROUNDED = {
    "gpt3-1.3b",
    "gpt3-2.7b",
    "gpt3-6.7b",
    "megatron-1.7b",
    "megatron-3.6b",
    "grok-1",
}
TABLE_NAMES = {
    "GPT-2 1.5B": "gpt2-xl",
    "GPT3-5B (NeMo)": "gpt3-5b-nemo",
    "GPT3-20B (NeMo)": "gpt3-20b-nemo",
    "Megatron 22B (Korthikanti)": "megatron-22b",
    "Megatron-Turing NLG 530B": "megatron-turing-530b",
    "BLOOM 176B": "bloom-176b",
    "LLaMA-65B": "llama-65b",
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_counted_parameters_are_the_published_ones(name):
    model = catalog.model(name)
    tolerance = 0.03 if name in ROUNDED else 0.005
    assert model.parameters == pytest.approx(model.published_parameters, rel=tolerance)


def test_parameters_agree_with_the_reference_table(shared):
    with shared("truth/models.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    for row in rows:
        name = TABLE_NAMES.get(row["model"], row["model"].lower().replace(" ", "-"))
        model = catalog.model(name)
        published, recomputed = float(row["params_total_b"]) * 1e9, float(row["params_recomputed_b"]) * 1e9
        nearest = min(abs(model.parameters / each - 1) for each in (published, recomputed))
        assert nearest < 0.005, f"{name}: {model.parameters:,} against {published:,.0f}"


def test_active_parameters_are_those_that_one_token_meets():
    assert catalog.model("mixtral-8x7b").active_parameters == pytest.approx(12.9e9, rel=0.005)
    assert catalog.model("deepseek-v3").active_parameters == pytest.approx(37e9, rel=0.02)
    assert catalog.model("qwen3-235b-a22b").active_parameters == pytest.approx(22e9, rel=0.01)
    dense = catalog.model("llama-2-7b")
    assert dense.active_parameters == dense.parameters


@pytest.mark.parametrize("name", ["llama-2-70b", "deepseek-v3", "bert-large", "gpt2-small"])
def test_layers_embeddings_and_the_rest_add_up_to_all_parameters(name):
    model = catalog.model(name)
    rest = model.embedding_parameters + model.output_parameters + model.norm_parameters
    total = sum(model.layer_parameter_counts) + rest + model.other_parameters
    assert model.parameters == total
    assert model.layer_parameters == model.layer_parameter_counts[-1]


def test_cache_of_a_token_follows_the_attention_variant():
    assert catalog.model("llama-2-7b").kv_bytes_per_token(2) == 2 * 32 * 32 * 128 * 2
    assert catalog.model("llama-2-70b").kv_bytes_per_token(2) == 2 * 80 * 8 * 128 * 2
    assert catalog.model("deepseek-v3").kv_bytes_per_token(2) == 61 * (512 + 64) * 2


LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "vocab_size": 32000,
    "max_position_embeddings": 4096,
}
CONFIGS = {
    "llama-2-7b": LLAMA,
    "qwen2-7b": {
        **LLAMA,
        "model_type": "qwen2",
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
    },
    "mixtral-8x7b": {
        **LLAMA,
        "model_type": "mixtral",
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
    },
    "qwen3-30b-a3b": {
        **LLAMA,
        "model_type": "qwen3_moe",
        "hidden_size": 2048,
        "head_dim": 128,
        "num_hidden_layers": 48,
        "num_key_value_heads": 4,
        "intermediate_size": 6144,
        "vocab_size": 151936,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 768,
    },
    "deepseek-v3": {
        **LLAMA,
        "model_type": "deepseek_v3",
        "hidden_size": 7168,
        "intermediate_size": 18432,
        "num_hidden_layers": 61,
        "num_attention_heads": 128,
        "num_key_value_heads": 128,
        "vocab_size": 129280,
        "n_routed_experts": 256,
        "n_shared_experts": 1,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 2048,
        "first_k_dense_replace": 3,
        "q_lora_rank": 1536,
        "kv_lora_rank": 512,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
    },
    "gpt2-small": {
        "model_type": "gpt2",
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "vocab_size": 50257,
        "n_positions": 1024,
        "n_inner": None,
    },
    "bloom-7b1": {
        "model_type": "bloom",
        "hidden_size": 4096,
        "n_layer": 30,
        "num_attention_heads": 32,
        "vocab_size": 250880,
    },
    "opt-6.7b": {
        "model_type": "opt",
        "hidden_size": 4096,
        "ffn_dim": 16384,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 50272,
        "max_position_embeddings": 2048,
    },
    "bert-large": {
        "model_type": "bert",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "vocab_size": 30522,
        "max_position_embeddings": 512,
    },
}
CONFIGS |= {
    "gpt-neox-20b": {
        "model_type": "gpt_neox",
        "hidden_size": 6144,
        "intermediate_size": 24576,
        "num_hidden_layers": 44,
        "num_attention_heads": 64,
        "vocab_size": 50432,
        "max_position_embeddings": 2048,
    },
    "gpt-oss-120b": {
        **LLAMA,
        "model_type": "gpt_oss",
        "hidden_size": 2880,
        "intermediate_size": 2880,
        "head_dim": 64,
        "num_hidden_layers": 36,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "num_local_experts": 128,
        "experts_per_token": 4,
        "vocab_size": 201088,
    },
    "kimi-k2": {
        **CONFIGS["deepseek-v3"],
        "model_type": "kimi_k2",
        "num_attention_heads": 64,
        "num_key_value_heads": 64,
        "vocab_size": 163840,
        "n_routed_experts": 384,
        "first_k_dense_replace": 1,
    },
    "nemotron-4-340b": {
        **LLAMA,
        "model_type": "nemotron",
        "hidden_size": 18432,
        "intermediate_size": 73728,
        "num_hidden_layers": 96,
        "num_attention_heads": 96,
        "num_key_value_heads": 8,
        "vocab_size": 256000,
    },
    "gpt-j-6b": {
        "model_type": "gptj",
        "n_embd": 4096,
        "n_layer": 28,
        "n_head": 16,
        "vocab_size": 50400,
        "n_positions": 2048,
    },
    "phi-2": {
        "model_type": "phi",
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 51200,
        "max_position_embeddings": 2048,
    },
    "vit-l-16": {
        "model_type": "vit",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 16,
    },
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_json_gives_the_model_of_the_catalogue(name, tmp_path):
    folder = tmp_path / "downloaded"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIGS[name]))
    known = catalog.model(name)
    for path in ("downloaded/config.json", "downloaded"):
        read = catalog.model(path, base=tmp_path)
        assert read.parameters == pytest.approx(known.parameters, rel=1e-4)
        assert read.kv_elements_per_token == known.kv_elements_per_token
        assert read.source.how == "seen"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "expected a JSON object"),
        ('{"model_type": "lama"}', "Did you mean 'llama'"),
        ('{"hidden_size": 8}', "model_type: None is not an architecture"),
        ('{"model_type": "nemotron_h", "hidden_size": 8}', "has Mamba (state-space) layers"),
        ('{"model_type": "qwen3_next", "hidden_size": 8}', "linear attention or recurrence"),
        (json.dumps({**LLAMA, "intermediate_size": None}), "intermediate_size: missing"),
        (json.dumps({**LLAMA, "vocab_size": "many"}), "vocab_size: expected a whole number, got 'many'"),
    ],
)
def test_a_broken_config_json_is_refused_by_name(text, message, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"config\.json") as caught:
        catalog.model(str(path))
    assert message in str(caught.value)


def test_all_missing_keys_are_told_at_once(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "mixtral", "hidden_size": 8, "num_attention_heads": 2}')
    with pytest.raises(InputError) as caught:
        catalog.model("config.json", base=tmp_path)
    assert len(caught.value.problems) == 7


def test_a_path_that_is_not_there_and_a_name_that_is_not_known_differ(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        catalog.model("nowhere/config.json", base=tmp_path)
    with pytest.raises(CatalogError, match="unknown model"):
        catalog.model("nothing-like-it", base=tmp_path)
