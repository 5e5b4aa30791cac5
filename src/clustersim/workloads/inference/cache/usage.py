"""How full a prefix cache and its tiers were over time, and what was found in them."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from clustersim.workloads.inference.cache.tier import TierKind

if TYPE_CHECKING:
    from clustersim.workloads.inference.cache.prefix_cache import PrefixCache

__all__ = ["CacheUsage", "cache_metrics", "usage_table"]

_MOST_ROWS = 1 << 15
_TIERS: tuple[TierKind, ...] = ("host", "nvme", "remote")
_COUNTS = ("prompt_tokens", "found_tokens", "fetched_tokens", "evicted_blocks")
_COLUMNS = (*_COUNTS, "used", "idle", *_TIERS)


class CacheUsage:
    """Samples of one cache whenever a request leaves; of many, evenly every second, fourth, … of them."""

    def __init__(self) -> None:
        self.time_s = array("d")
        self._columns = {name: array("q") for name in _COLUMNS}
        self._left = 0
        self._stride = 1

    def __len__(self) -> int:
        return len(self.time_s)

    def sample(self, now_s: float, cache: PrefixCache) -> None:
        """Write down how things stand, where this request's turn has come."""
        self._left += 1
        if self._left % self._stride:
            return
        counts = cache.counts
        stored = {tier.kind: tier.used_blocks for tier in cache.below.tiers} if cache.below else {}
        values = (
            counts.prompt_tokens,
            counts.found_tokens,
            counts.fetched_tokens,
            counts.evicted_blocks,
            cache.used_blocks,
            cache.idle_blocks,
            *(stored.get(tier, 0) for tier in _TIERS),
        )
        self.time_s.append(now_s)
        for column, value in zip(self._columns.values(), values, strict=True):
            column.append(value)
        if len(self) >= _MOST_ROWS:
            self._thin()

    def column(self, name: str) -> np.ndarray:
        """Return a copy of one column."""
        return np.array(self._columns[name])

    def _thin(self) -> None:
        """Keep every second sample."""
        self.time_s = self.time_s[1::2]
        self._columns = {name: column[1::2] for name, column in self._columns.items()}
        self._stride *= 2


def usage_table(caches: Mapping[int, PrefixCache]) -> dict[str, np.ndarray]:
    """Return the samples of all replicas in order of time; see `columns.CACHE_COLUMNS`."""
    parts: dict[str, list[np.ndarray]] = {}
    for replica, cache in caches.items():
        usage = cache.usage
        columns = {
            "replica": np.full(len(usage), replica),
            "time_s": np.array(usage.time_s),
            **{name: usage.column(name) for name in _COUNTS},
            "gpu_held_fraction": usage.column("used") / cache.total_blocks,
            "gpu_idle_fraction": usage.column("idle") / cache.total_blocks,
            **_tier_fractions(cache),
        }
        for name, column in columns.items():
            parts.setdefault(name, []).append(column)
    table = {name: np.concatenate(columns) for name, columns in parts.items()}
    order = np.argsort(table["time_s"], kind="stable")
    return {name: column[order] for name, column in table.items()}


def cache_metrics(caches: Mapping[int, PrefixCache], *, since_s: float) -> dict[str, float]:
    """Return the shares of prompt tokens that were found in GPU memory and in lower tiers, from a time on."""
    counts = dict.fromkeys(_COUNTS, 0)
    for cache in caches.values():
        usage = cache.usage
        before = int(np.searchsorted(np.array(usage.time_s), since_s))
        for name in _COUNTS:
            column = usage.column(name)
            counts[name] += int(column[-1] - (column[before - 1] if before else 0)) if len(column) else 0
    if not counts["prompt_tokens"]:
        return {}
    return {
        "cache_hit_rate.gpu": counts["found_tokens"] / counts["prompt_tokens"],
        "cache_hit_rate.lower": counts["fetched_tokens"] / counts["prompt_tokens"],
    }


def _tier_fractions(cache: PrefixCache) -> dict[str, np.ndarray]:
    """How full each kind of tier was; NaN where there is none."""
    sizes = {tier.kind: tier.capacity_blocks for tier in cache.below.tiers} if cache.below else {}
    return {
        f"{tier}_used_fraction": cache.usage.column(tier) / (sizes.get(tier) or np.nan) for tier in _TIERS
    }
