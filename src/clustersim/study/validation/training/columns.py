"""Columns of tables of training runs, under our names and the others that people give them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from clustersim.errors import InputError, did_you_mean

__all__ = ["NAMES", "renamed"]

NAMES: Mapping[str, str] = {
    "row_id": "id|row",
    "table": "publication|dataset",
    "system": "cluster|machine|instance",
    "gpu": "accelerator|device|gpu_type|gpu_model|chip|hardware",
    "gpu_count": "gpus|n_?gpus|num_?gpus|number_of_gpus|n_accelerators|accelerators|chips|world_size",
    "gpus_per_node": "accel_per_node|n_?proc_per_node|gpus_node",
    "scale_out": "network|interconnect|inter_?node|inter_?link|nics?|fabric|host_networking",
    "framework": "software|stack|library|code",
    "task": "phase|stage_of_training",
    "model": "model_name|benchmark",
    "params_b": "params|parameters|parameters_b|model_size_b|params_billions?|n_params_b",
    "layers": "n_?layers|num_?layers|num_hidden_layers|depth",
    "hidden": "hidden_size|d_model|n_?embd|width|hidden_dim|model_dim",
    "heads": "n_?heads?|num_?heads|num_attention_heads|attention_heads",
    "kv_heads": "n_?kv_heads|num_kv_heads|num_key_value_heads|num_query_groups",
    "ffn_hidden": "ffn|ffn_dim|ffn_hidden_size|intermediate_size|ffn_size|mlp_dim|d_ff",
    "vocab": "vocab_size|vocabulary|n_vocab",
    "seq_len": "seq|seqlen|sequence|sequence_length|context_length|max_seq_len|tokens_per_sample",
    "dtype": "precision|data_type|arithmetic|number_format",
    "tp": "tensor|tensor_parallel|tp_size|tensor_parallelism|tensor_model_parallel_size|t",
    "seq_parallel": "sp|sequence_parallel|sequence_parallelism",
    "pp": "pipeline|pipeline_parallel|pp_size|pipeline_parallelism|pipeline_model_parallel_size|stages",
    "vp": "vpp|virtual_pipeline|virtual_stages|vp_size|interleaving|v|chunks",
    "cp": "context|context_parallel|cp_size|context_parallelism",
    "ep": "expert|expert_parallel|ep_size|expert_parallelism",
    "etp": "expert_tensor|expert_tensor_parallel|etp_size",
    "dp": "data|data_parallel|dp_size|data_parallelism|replicas",
    "zero_stage": "zero|fsdp|sharding|shard|zero_level|sharding_strategy|parallel_strategy",
    "micro_batch": "mbs|micro_?batch|micro_?batch_?size|micro_bsz|local_batch|local_batch_size",
    "global_batch": "gbs|global_?batch|global_?batch_?size|global_bsz|batch_size|batch",
    "grad_accum": "ga|grad(?:ient)?_accumulation(?:_steps)?|accumulation|micro_num",
    "recompute": "recomputation|activation_checkpointing|checkpointing|activation_recomputation|remat|ac",
    "iter_time_s": "(?:iteration|step)_time(?:_s)?|iter_s|seconds_per_iteration|time_s|s_per_it",
    "tokens_per_s": "tokens_per_sec|tokens_s|throughput_tokens_per_s|tok_s|total_tokens_per_s",
    "tokens_per_s_per_gpu": "tokens_per_sec_per_gpu|tokens_per_gpu_per_s|tok(?:ens)?_s_gpu|tgs|tps_gpu",
    "samples_per_s": "samples_per_sec|sequences_per_s|samples_s",
    "tflops_per_gpu": "tflops|tflop_s_gpu|tflops_gpu|tflops_per_s_per_gpu|achieved_tflops",
    "tflops_kind": "flops_kind|flops_convention|kind_of_flops",
    "mfu_pct": "mfu|mfu_percent|model_flops_utilization",
    "hfu_pct": "hfu|hfu_percent|hardware_flops_utilization",
    "peak_tflops_used": "peak_tflops|peak_tflops_per_gpu",
    "mem_gb": "memory_gb|memory_gib|mem_gib|peak_memory_gb|gpu_memory_gb",
    "notes": "note|comment|comments|remarks",
    "held_out": "",
}  # fmt: skip
"""Our names, and a regular expression of what others call the same."""

_NEEDED = ("row_id", "gpu", "gpu_count", "model", "seq_len", "global_batch")
"""Without these columns a table is none of training runs."""


def renamed(cells: Mapping[str, str]) -> dict[str, str]:
    """Return the cells under our names; columns that are about something else keep theirs.

    Raises
    ------
    InputError
        For a column that is needed and missing, or two that mean the same.
    """
    ours = _ours(tuple(cells))
    return {ours[name]: text for name, text in cells.items()}


@lru_cache(maxsize=16)
def _ours(names: tuple[str, ...]) -> dict[str, str]:
    """Return our name of each column, its own where it is none of ours."""
    found = {name: _our_name(name) if _our_name(name) not in names else name for name in names}
    for name in _NEEDED:
        if name not in found.values():
            raise InputError(f"column '{name}' is missing.{did_you_mean(name, names)}")
    twice = next((name for name in NAMES if list(found.values()).count(name) > 1), None)
    if twice:
        both = " and ".join(f"'{name}'" for name in names if found[name] == twice)
        raise InputError(f"columns {both} both mean '{twice}'; leave one out")
    return found


def _our_name(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if plain in NAMES:
        return plain
    return next((ours for ours, others in NAMES.items() if re.fullmatch(others, plain)), name)
