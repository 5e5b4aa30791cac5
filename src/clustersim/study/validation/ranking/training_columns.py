"""Columns of tables of ranking-model training, under our names and the others that people give them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache

from clustersim.errors import InputError, did_you_mean

__all__ = ["NAMES", "is_training_table", "renamed"]

NAMES: Mapping[str, str] = {
    "row_id": "id|row|name",
    "table": "publication|dataset|source_table|group",
    "round": "mlperf_round|version",
    "system": "cluster|machine|instance|server|platform",
    "gpu": "accelerator|device|gpu_type|gpu_model|chip|hardware|accelerator_model_name",
    "gpus": "gpu_count|n_?gpus|num_?gpus|number_of_gpus|n_accelerators|accelerators|chips|world_size|ranks",
    "nodes": "n_?nodes|num_?nodes|number_of_nodes|hosts|n_hosts",
    "gpus_per_node": "accel_per_node|accelerators_per_node|n_?proc_per_node|gpus_node",
    "scale_up": "accel_interconnect|accelerator_interconnect|intra_?node|intra_?link|nvlink",
    "scale_out": "network|interconnect|inter_?node|inter_?link|nics?|fabric|host_networking",
    "framework": "software|stack|library|code|implementation",
    "model": "model_config|model_name|benchmark|task",
    "size": "model_size|variant|embedding_size",
    "precision": "dtype|data_type|arithmetic|number_format|amp",
    "batch_per_gpu": "local_batch(?:_size)?|(?:per_)?gpu_batch|batch(?:_size)?_(?:per_)?gpu|micro_batch",
    "global_batch": "gbs|global_?batch|global_?batch_?size|batch_size|batch",
    "optimizer": "optimiser|embedding_optimizer",
    "iter_time_ms": "(?:average_time_of_)?iteration_(?:time_)?ms|step_time_ms|ms_per_(?:it|iteration|step)",
    "step_time_s": "(?:iteration|step|iter)_time(?:_s)?|iter_s|seconds_per_iteration|s_per_it",
    "samples_per_s": "throughput(?:_samples_per_s)?|train_throughput|samples_per_sec|samples_s|qps"
    "|records_per_s|items_per_s|training_throughput",
    "notes": "note|comment|comments|remarks",
    "held_out": "",
}  # fmt: skip
"""Our names, and a regular expression of what others call the same."""

_NEEDED = ("row_id", "gpu", "gpus", "framework", "model")
"""Without these columns a table is none of ranking-model training."""
_BATCHES = ("batch_per_gpu", "global_batch")
_TIMES = ("iter_time_ms", "step_time_s", "samples_per_s")


def is_training_table(columns: Collection[str]) -> bool:
    """Whether a table with these columns is one of training runs."""
    ours = set(_ours(tuple(columns)).values())
    return ours.issuperset(_NEEDED) and any(name in ours for name in _BATCHES)


def renamed(cells: Mapping[str, str]) -> dict[str, str]:
    """Return the cells under our names; columns that are about something else keep theirs.

    Raises
    ------
    InputError
        For a column that is needed and missing.
    """
    ours = _ours(tuple(cells))
    missing = next((name for name in _NEEDED if name not in ours.values()), None)
    if missing:
        raise InputError(f"column '{missing}' is missing.{did_you_mean(missing, cells)}")
    for names in (_BATCHES, _TIMES):
        if not any(name in ours.values() for name in names):
            raise InputError(f"none of the columns {', '.join(names)} is there")
    return {ours[name]: text for name, text in cells.items()}


@lru_cache(maxsize=16)
def _ours(names: tuple[str, ...]) -> dict[str, str]:
    """Return our name of each column, its own where it is none of ours or ours is there already."""
    found: dict[str, str] = {}
    for name in names:
        ours = _our_name(name)
        taken = ours != name and (ours in names or ours in found.values())
        found[name] = name if taken else ours
    return found


def _our_name(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if plain in NAMES:
        return plain
    return next((ours for ours, others in NAMES.items() if re.fullmatch(others, plain)), name)
