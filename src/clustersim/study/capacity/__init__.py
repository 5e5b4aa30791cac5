"""The highest load that a service keeps its objectives at, and the cheapest configuration for it."""

from __future__ import annotations

from clustersim.study.capacity.result import Capacity, Searched
from clustersim.study.capacity.searching import capacity

__all__ = ["Capacity", "Searched", "capacity"]
