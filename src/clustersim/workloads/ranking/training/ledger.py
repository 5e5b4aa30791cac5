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
    between them the time until the next one starts. That belongs to the host where its launch came last.
    Else it belongs to what it waited for: from when that began to its end; before, from when this rank had
    come to it, to the slowest rank (`waiting_s`); and before that to what it had to wait for in turn.

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
            assert entry.start_s is not None
            _share_out(seconds, entry, entry.after, np.maximum(entry.start_s - before_s, 0.0), before_s)
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


def _share_out(
    seconds: dict[str, np.ndarray],
    entry: Entry,
    others: Sequence[Entry],
    wait_s: np.ndarray,
    before_s: np.ndarray,
) -> None:
    """Give a wait for the beginning of an entry to what ended last of all that it waited for."""
    latest_s = entry.first_launch_s
    holder = np.full(len(wait_s), -1)
    for number, other in enumerate(others):
        assert other.end_s is not None
        later = other.end_s >= latest_s
        latest_s = np.where(later, other.end_s, latest_s)
        holder = np.where(later, number, holder)
    _add_host(seconds, entry, np.where(holder < 0, wait_s, 0.0), before_s)
    for number, other in enumerate(others):
        held_s = np.where(holder == number, wait_s, 0.0)
        if held_s.any():
            _add_wait(seconds, other, held_s, before_s)


def _add_host(seconds: dict[str, np.ndarray], entry: Entry, wait_s: np.ndarray, before_s: np.ndarray) -> None:
    """Split a wait for the launch of an entry: what the host did since, and what it waited for itself."""
    launched: Entry | None = entry
    while launched is not None and wait_s.any():
        from_s = launched.launched_from_s
        host_s = np.clip(before_s + wait_s - np.maximum(from_s, before_s), 0.0, wait_s)
        seconds["host_s"] += host_s
        wait_s = wait_s - host_s
        for gate in launched.gates:
            assert gate.end_s is not None
            held_s = np.where(gate.end_s >= from_s, wait_s, 0.0)
            if held_s.any():
                _add_wait(seconds, gate, held_s, before_s)
                wait_s = wait_s - held_s
        launched = launched.host_before
    seconds["host_s"] += wait_s


def _add_wait(seconds: dict[str, np.ndarray], other: Entry, wait_s: np.ndarray, before_s: np.ndarray) -> None:
    """Split a wait for the end of an entry: until this rank came to it, until it began, and from then on."""
    assert other.came_s is not None
    assert other.start_s is not None
    late_s = np.clip(other.came_s - before_s, 0.0, wait_s)
    for_others_s = np.clip(other.start_s - np.maximum(before_s, other.came_s), 0.0, wait_s - late_s)
    if late_s.any():
        _share_out(seconds, other, other.waits_for, late_s, before_s)
    seconds["waiting_s"] += for_others_s
    seconds[_WAITS[other.task.part]] += wait_s - late_s - for_others_s
