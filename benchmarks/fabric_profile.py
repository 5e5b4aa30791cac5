"""What the fabric spends its time on, by cProfile: module by module, and function by function."""

from __future__ import annotations

import cProfile
import pstats
from collections import defaultdict
from pathlib import Path

from flow_engines import Processes
from flow_sets import FlowSet


def print_profile(flows: FlowSet, top: int = 15) -> None:
    """Run a set in pure Python with a process per flow and print who took the time."""
    processes = Processes(flows, "python")
    profile = cProfile.Profile()
    profile.runcall(processes.run)
    entries = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    total_s = sum(own_s for _, _, own_s, _, _ in entries.values())
    print(
        f"{flows.name}: {len(flows.flows['start']):,} flows, {total_s:.2f} s under the profiler\nby module:"
    )
    modules: dict[str, float] = defaultdict(float)
    for (file, _, _), (_, _, own_s, _, callers) in entries.items():
        for module, seconds in _by_module(file, own_s, callers):
            modules[module] += seconds
    for module, seconds in sorted(modules.items(), key=lambda item: -item[1]):
        if seconds > 0.002 * total_s:
            print(f"  {seconds / total_s:>6.1%}  {module}")
    print("own time by function:")
    largest = sorted(entries.items(), key=lambda item: -item[1][2])[:top]
    for (file, line, name), (_, calls, own_s, _, _) in largest:
        print(f"  {own_s / total_s:>6.1%}  {calls:>9,} calls  {name}  ({_module(file)}:{line})")


def _by_module(file: str, own_s: float, callers: dict) -> list[tuple[str, float]]:
    """Built-in functions count for whoever calls them."""
    if file != "~":
        return [(_module(file), own_s)]
    return [(_module(caller[0]), times[2]) for caller, times in callers.items()] or [("built-in", own_s)]


def _module(file: str) -> str:
    """The path below the package's folder: `engine/fabric/solver`, `simpy/core`."""
    parts = Path(file).with_suffix("").parts
    for package in ("clustersim", "simpy"):
        if package in parts:
            after = len(parts) - parts[::-1].index(package)
            return "/".join(parts[after if package == "clustersim" else after - 1 :])
    return parts[-1]
