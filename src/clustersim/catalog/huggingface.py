"""Reading a Hugging Face `config.json` as a transformer model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clustersim.catalog._store import Source
from clustersim.catalog.models import MlaConfig, MoeConfig, TransformerModel
from clustersim.errors import InputError, Problem, did_you_mean

__all__ = ["ARCHITECTURES", "read_config"]


class _Config:
    """The keys of one file; notes those that are missing, so that all are told at once."""

    def __init__(self, keys: Mapping[str, Any]) -> None:
        self.keys = keys
        self.problems: list[str] = []

    def number(self, *names: str, default: int | None = None) -> int:
        """Return the first key that is there, as a positive whole number."""
        for name in names:
            value = self.keys.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                return value
            if value is not None:
                self.problems.append(f"{name}: expected a whole number, got {value!r}")
                return 1
        if default is None:
            self.problems.append(f"{' or '.join(names)}: missing; the architecture needs it")
            return 1
        return default

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a true-or-false key."""
        return bool(self.keys.get(name, default))

    def __contains__(self, name: str) -> bool:
        return self.keys.get(name) is not None


def _common(config: _Config) -> dict[str, Any]:
    hidden = config.number("hidden_size", "n_embd", "d_model")
    heads = config.number("num_attention_heads", "n_head", "num_heads")
    return {
        "layers": config.number("num_hidden_layers", "n_layer", "num_layers"),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": config.number("num_key_value_heads", default=heads),
        "head_dim": config.number("head_dim", default=max(1, hidden // max(1, heads))),
        "vocab": config.number("vocab_size"),
    }


def _llama(config: _Config) -> dict[str, Any]:
    return {
        **_common(config),
        "ffn_hidden": config.number("intermediate_size"),
        "gated_ffn": True,
        "tied_embeddings": config.flag("tie_word_embeddings", default=False),
        "max_sequence": config.number("max_position_embeddings"),
        "positional": "rope",
        "norm": "rmsnorm",
        "bias": "all" if config.flag("mlp_bias", default=False) else "none",
    }


def _qwen2(config: _Config) -> dict[str, Any]:
    return {**_llama(config), "bias": "qkv"}


def _mixtral(config: _Config) -> dict[str, Any]:
    moe = MoeConfig(
        experts=config.number("num_local_experts"),
        experts_per_token=config.number("num_experts_per_tok"),
        ffn_hidden=config.number("intermediate_size"),
    )
    return {**_llama(config), "moe": moe}


def _qwen3_moe(config: _Config) -> dict[str, Any]:
    moe = MoeConfig(
        experts=config.number("num_experts"),
        experts_per_token=config.number("num_experts_per_tok"),
        ffn_hidden=config.number("moe_intermediate_size"),
    )
    return {**_llama(config), "moe": moe}


def _deepseek(config: _Config) -> dict[str, Any]:
    moe = MoeConfig(
        experts=config.number("n_routed_experts"),
        experts_per_token=config.number("num_experts_per_tok"),
        ffn_hidden=config.number("moe_intermediate_size"),
        shared_experts=config.number("n_shared_experts", default=0),
        groups=config.number("n_group", default=1),
        groups_per_token=config.number("topk_group", default=1),
        dense_layers=config.number("first_k_dense_replace", default=0),
    )
    mla = MlaConfig(
        q_lora_rank=config.number("q_lora_rank") if "q_lora_rank" in config else None,
        kv_lora_rank=config.number("kv_lora_rank"),
        qk_nope_head_dim=config.number("qk_nope_head_dim"),
        qk_rope_head_dim=config.number("qk_rope_head_dim"),
        v_head_dim=config.number("v_head_dim"),
    )
    return {**_llama(config), "head_dim": mla.v_head_dim, "moe": moe, "mla": mla}


def _gpt_oss(config: _Config) -> dict[str, Any]:
    moe = MoeConfig(
        experts=config.number("num_local_experts"),
        experts_per_token=config.number("num_experts_per_tok", "experts_per_token"),
        ffn_hidden=config.number("intermediate_size"),
    )
    return {**_llama(config), "bias": "qkv", "moe": moe}


def _nemotron(config: _Config) -> dict[str, Any]:
    return {**_llama(config), "gated_ffn": False, "norm": "layernorm", "dropout": False}


def _plain(config: _Config, *, ffn: str, positions: str, positional: str) -> dict[str, Any]:
    common = _common(config)
    return {
        **common,
        "ffn_hidden": config.number(ffn, "n_inner", default=4 * common["hidden"]),
        "gated_ffn": False,
        "tied_embeddings": config.flag("tie_word_embeddings", default=True),
        "max_sequence": config.number(positions, "max_position_embeddings", "seq_length", default=2048),
        "positional": positional,
        "norm": "layernorm",
        "bias": "all",
    }


def _gpt2(config: _Config) -> dict[str, Any]:
    return _plain(config, ffn="n_inner", positions="n_positions", positional="learned")


def _bloom(config: _Config) -> dict[str, Any]:
    return _plain(config, ffn="n_inner", positions="seq_length", positional="alibi")


def _opt(config: _Config) -> dict[str, Any]:
    return _plain(config, ffn="ffn_dim", positions="max_position_embeddings", positional="learned")


def _neox(config: _Config) -> dict[str, Any]:
    shape = _plain(config, ffn="intermediate_size", positions="max_position_embeddings", positional="rope")
    return {**shape, "tied_embeddings": config.flag("tie_word_embeddings", default=False)}


def _gptj(config: _Config) -> dict[str, Any]:
    shape = _plain(config, ffn="n_inner", positions="n_positions", positional="rope")
    tied = config.flag("tie_word_embeddings", default=False)
    return {**shape, "tied_embeddings": tied, "bias": "none", "dropout": False}


def _phi(config: _Config) -> dict[str, Any]:
    shape = _plain(config, ffn="intermediate_size", positions="max_position_embeddings", positional="rope")
    return {**shape, "tied_embeddings": config.flag("tie_word_embeddings", default=False)}


def _vit(config: _Config) -> dict[str, Any]:
    """Patches of an image and a class token; the head tells `num_labels` classes apart."""
    hidden = config.number("hidden_size")
    patch = config.number("patch_size", default=16)
    patches = (config.number("image_size", default=224) // max(1, patch)) ** 2
    projection = hidden * (config.number("num_channels", default=3) * patch**2 + 1)
    labels = config.keys.get("id2label")
    classes = config.number("num_labels", default=len(labels) if isinstance(labels, dict) else 1000)
    heads = config.number("num_attention_heads")
    return {
        "layers": config.number("num_hidden_layers"),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": heads,
        "head_dim": max(1, hidden // max(1, heads)),
        "ffn_hidden": config.number("intermediate_size"),
        "gated_ffn": False,
        "vocab": 0,
        "tied_embeddings": True,
        "max_sequence": patches + 1,
        "positional": "learned",
        "causal": False,
        "norm": "layernorm",
        "bias": "all",
        "other_parameters": projection + hidden + (hidden + 1) * classes,
    }


def _bert(config: _Config) -> dict[str, Any]:
    shape = _plain(config, ffn="intermediate_size", positions="max_position_embeddings", positional="learned")
    hidden = shape["hidden"]
    types = config.number("type_vocab_size", default=2)
    return {**shape, "causal": False, "other_parameters": hidden * types + hidden * (hidden + 1)}


ARCHITECTURES: Mapping[str, Callable[[_Config], dict[str, Any]]] = {
    "llama": _llama,
    "mistral": _llama,
    "qwen3": _llama,
    "qwen2": _qwen2,
    "mixtral": _mixtral,
    "qwen3_moe": _qwen3_moe,
    "deepseek_v2": _deepseek,
    "deepseek_v3": _deepseek,
    "kimi_k2": _deepseek,
    "gpt_oss": _gpt_oss,
    "nemotron": _nemotron,
    "phi": _phi,
    "gptj": _gptj,
    "vit": _vit,
    "gpt2": _gpt2,
    "gpt_neox": _neox,
    "opt": _opt,
    "bloom": _bloom,
    "bert": _bert,
}
"""`model_type` of a config.json to its reader."""

_STATE_SPACE = (
    "bamba",
    "falcon_h1",
    "falcon_mamba",
    "granitemoehybrid",
    "jamba",
    "mamba",
    "mamba2",
    "nemotron_h",
    "zamba",
    "zamba2",
)
_LINEAR_ATTENTION = ("minimax", "qwen3_next", "recurrent_gemma", "rwkv")
_LAYER_TABLE = "describe it as a layer table (docs/models.md)"
_REFUSED: Mapping[str, str] = {
    **dict.fromkeys(
        _STATE_SPACE, f"has Mamba (state-space) layers, whose kernels are not modelled; {_LAYER_TABLE}"
    ),
    **dict.fromkeys(
        _LINEAR_ATTENTION,
        f"has layers of linear attention or recurrence, whose kernels are not modelled; {_LAYER_TABLE}",
    ),
}
"""`model_type`s that look like transformers in their keys, and are none."""


def read_config(path: Path) -> TransformerModel:
    """Read a Hugging Face `config.json`.

    Raises
    ------
    InputError
        If the file is absent, is no JSON object, is of an unknown `model_type`, or lacks keys;
        each problem names the file.
    """
    keys = _read_object(path)
    kind = keys.get("model_type")
    if isinstance(kind, str) and kind in _REFUSED:
        raise _refused(path, [f"model_type: '{kind}' {_REFUSED[kind]}"])
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        hint = did_you_mean(str(kind), ARCHITECTURES)
        raise _refused(path, [f"model_type: {kind!r} is not an architecture that can be read.{hint}"])
    config = _Config(keys)
    shape = ARCHITECTURES[kind](config)
    if config.problems:
        raise _refused(path, config.problems)
    source = Source(f"{path.name} of {path.parent.name or 'the working folder'}, model_type {kind}", "seen")
    return TransformerModel(name=path.parent.name or path.stem, **shape, sources={"all": source})


def _read_object(path: Path) -> dict[str, Any]:
    try:
        keys = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _refused(path, [f"cannot be read ({error.strerror}); give a config.json"]) from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise _refused(path, [f"is not JSON: {error}"]) from None
    if not isinstance(keys, dict):
        raise _refused(path, ["expected a JSON object, as in a Hugging Face config.json"])
    return keys


def _refused(path: Path, problems: list[str]) -> InputError:
    return InputError([Problem((), problem, file=str(path)) for problem in problems])
