"""Where the time of each rank's GPU goes in one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from clustersim.workloads.ranking.training.entry import Entry
from clustersim.workloads.ranking.training.program import COMPUTE_STREAM, Part

__all__ = ["CATEGORIES", "Seconds", "account"]

Seconds = Mapping[str, np.ndarray]
"""By category, then by rank."""

_KERNELS: Mapping[Part, str] = MappingProxyType(
    {"embedding": "embedding_s", "dense": "dense_s", "optimizer": "optimizer_s"}
)
_WAITS: Mapping[Part, str] = MappingProxyType(
    {
        "index": "exposed_index_s",
        "forward": "exposed_forward_s",
        "backward": "exposed_backward_s",
        "all_reduce": "exposed_all_reduce_s",
        "input": "input_stall_s",
        "host_rows": "exposed_host_rows_s",
    }
)
CATEGORIES = (*_KERNELS.values(), *_WAITS.values(), "host_s", "waiting_s")
"""Each second of a GPU in a step belongs to one of them."""


def account(entries: Sequence[Entry], before_s: np.ndarray) -> Seconds:
    """Return the seconds of each category on each rank.

    *Equation.* On the stream of kernels, from the end of the step before to that of this one: kernels, and
    between them the time until the next one starts. That belongs to the host where its launch came last; else to
    what it waited for: `waiting_s` until the last rank had come to a collective, and then the collective.

    Parameters
    ----------
    entries
        Of a step that has ended.
    before_s
        When the step before ended on each rank.
    """
    seconds = {name: np.zeros(len(before_s)) for name in CATEGORIES}
    for entry in entries:
        if entry.task.stream == COMPUTE_STREAM:
            _add_gap(seconds, entry, before_s)
            before_s = _add_kernels(seconds, entry)
    return seconds


def _add_kernels(seconds: dict[str, np.ndarray], entry: Entry) -> np.ndarray:
    start_s, end_s, own_s = entry.start_s, entry.end_s, entry.seconds
    assert start_s is not None
    assert end_s is not None
    assert own_s is not None
    seconds[_KERNELS[entry.task.part]] += own_s
    if entry.host_bound is not None:
        seconds["host_s"] += np.where(entry.host_bound, end_s - start_s - own_s, 0.0)
    return end_s


def _add_gap(seconds: dict[str, np.ndarray], entry: Entry, before_s: np.ndarray) -> None:
    """Give the time before an entry to what it waited for."""
    assert entry.start_s is not None
    left_s = np.maximum(entry.start_s - before_s, 0.0)
    latest_s = entry.first_launch_s
    holder = np.full(len(left_s), -1)
    for number, other in enumerate(entry.after):
        assert other.end_s is not None
        later = other.end_s >= latest_s
        latest_s = np.where(later, other.end_s, latest_s)
        holder = np.where(later, number, holder)
    seconds["host_s"] += np.where(holder < 0, left_s, 0.0)
    for number, other in enumerate(entry.after):
        _add_wait(seconds, other, np.where(holder == number, left_s, 0.0), before_s)


def _add_wait(seconds: dict[str, np.ndarray], other: Entry, wait_s: np.ndarray, before_s: np.ndarray) -> None:
    """Split a wait for a collective at the moment when its last rank came."""
    category = _WAITS.get(other.task.part)
    if category is None:
        seconds["waiting_s"] += wait_s  # kernels of this rank on another stream
        return
    if other.together and other.task.part != "input":
        assert other.start_s is not None
        for_others_s = np.clip(other.start_s - before_s, 0.0, wait_s)
        seconds["waiting_s"] += for_others_s
        wait_s = wait_s - for_others_s
    seconds[category] += wait_s
