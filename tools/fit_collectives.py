"""Fit the parameters of `catalog/data/collectives.yaml` on nccl-tests style tables.

    python tools/fit_collectives.py ../shared/truth/C_collectives.csv [--only nvlink-4]

Reads rows marked `calibrate`, fits one link kind after another (scale-up first, since rows across
nodes use both) by Nelder-Mead on the mean absolute logarithmic error, and prints YAML to paste.
Each kind has a base latency, a step latency and, per protocol, a start latency and an efficiency
that rise from `ll` to `simple`; nothing is fitted per table. Numpy alone; about a minute.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clustersim.catalog.collectives import SHELF, CollectiveCosts, Protocol
from clustersim.collectives.macro import Schedule, schedule
from clustersim.collectives.plan import Connection, Lockstep, Phase, Plan
from clustersim.errors import ClusterSimError
from clustersim.study.validation.collectives import KINDS, communicator, system_of

PROTOCOLS = ("ll", "ll128", "simple")


@dataclass(frozen=True)
class Target:
    """What one link kind is fitted on: tables by (beginning of the id, least size in bytes)."""

    entry: str
    families: tuple[str, ...]
    tables: tuple[tuple[str, float], ...]
    base: bool = False
    """Whether the base latency is fitted, too."""


MIB = 2.0**20
TARGETS = (
    # Across nodes one table of one size cannot tell base latency from hop latency: the base is that
    # of a launch, as on NVLink. T24…T29 take 35 us at 4 bytes for every collective: launches of the
    # host, so their rows below 1 MiB are left out.
    Target(
        "nvlink-3",
        ("ring",),
        (
            ("AIC-a100_sxm-all_", 0),
            ("AIC-a100_sxm-reduce", 0),
            ("T24", MIB),
            ("T26", MIB),
            ("T27", MIB),
            ("T29", MIB),
        ),
        base=True,
    ),
    Target("nvlink-3", ("direct",), (("AIC-a100_sxm-alltoall", 0), ("T25", MIB))),
    Target("nvlink-3", ("send_recv",), (("VID-a100_dgx-send_recv-n2-d2", 0),)),
    Target(
        "nvlink-4",
        ("ring", "nvls"),
        (
            ("AIC-h100_sxm-all_", 0),
            ("AIC-h100_sxm-reduce", 0),
            ("T08", 0),
            ("T10", 0),
            ("T30", 0),
            ("T31", 0),
        ),
        base=True,
    ),
    Target("nvlink-4", ("direct",), (("AIC-h100_sxm-alltoall", 0),)),
    Target("nvlink-4", ("send_recv",), (("VID-h100_dgx-send_recv-n2-d2", 0),)),
    Target("xgmi", ("ring",), (("T16", 0),), base=True),
    Target("pcie", ("ring",), (("AIC-l40s-all_", 0), ("AIC-l40s-reduce", 0)), base=True),
    Target("pcie", ("direct",), (("AIC-l40s-alltoall", 0),)),
    Target("efa-100g", ("ring",), (("T05", 0),)),
    # T07 is the same system with a library of 2023 that takes up to twice as long.
    Target("efa-400g", ("ring",), (("T06", 0),)),
    Target("tcpxo-200g", ("ring",), (("T00", 0),)),
    Target("ethernet-400g", ("ring",), (("T03", 0),)),
)


@dataclass(frozen=True)
class Case:
    """The rows of one table: candidate plans, sizes and times."""

    table: str
    plans: tuple[Plan, ...]
    capacities: np.ndarray
    sizes: np.ndarray
    times_s: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--only", default="", help="fit this link kind alone")
    arguments = parser.parse_args()
    with arguments.table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["use"] == "calibrate"]
    known = {name: SHELF.get(name) for name in SHELF.names()}
    for target in TARGETS:
        if arguments.only in ("", target.entry):
            known[target.entry] = fit(target, known, list(cases(rows, target)))
    for name in dict.fromkeys(target.entry for target in TARGETS):
        if arguments.only in ("", name):
            print_entry(known[name])


def cases(rows: list[dict[str, str]], target: Target) -> Iterator[Case]:
    by_table: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        least = [size for words, size in target.tables if row["table_id"].startswith(words)]
        if least and float(row["size_bytes"]) >= min(least):
            by_table.setdefault(row["table_id"], []).append(row)
    for table, members in by_table.items():
        try:
            group = communicator(system_of(members[0]))
        except ClusterSimError:
            continue
        plans = tuple(candidate.plan for candidate in group.candidates(KINDS[members[0]["collective"]]))
        sizes = np.array([float(row["size_bytes"]) for row in members])
        times_s = 1e-6 * np.array([float(row["time_us"]) for row in members])
        yield Case(table, plans, group.group.topology.link_bandwidth_bytes_per_s, sizes, times_s)


def fit(target: Target, known: dict[str, CollectiveCosts], cases: list[Case]) -> CollectiveCosts:
    """Return the entry with the families of the target fitted."""
    start = known[target.entry]

    def entry_of(vector: np.ndarray) -> CollectiveCosts:
        return unpack(start, target.families, vector, base=target.base)

    def loss(vector: np.ndarray) -> float:
        costs = {**known, target.entry: entry_of(vector)}
        errors = [np.abs(np.log(predict(case, costs) / case.times_s)) for case in cases]
        return float(np.mean(np.concatenate(errors)))

    vector = pack(start, target.families, base=target.base)
    for scale in (0.5, 0.3, 0.1):
        vector = nelder_mead(loss, vector, scale=scale)
    print(f"{target.entry} {'+'.join(target.families)}: mean |log error| {loss(vector):.3f}", file=sys.stderr)
    for case in cases:
        error = np.abs(predict(case, {**known, target.entry: entry_of(vector)}) / case.times_s - 1)
        large = case.sizes >= MIB
        medians = [
            f"{np.median(part):.3f}" if len(part) else "  -  " for part in (error[~large], error[large])
        ]
        print(f"  {case.table:<36} median below 1 MiB {medians[0]}, from 1 MiB {medians[1]}", file=sys.stderr)
    return entry_of(vector)


def predict(case: Case, costs: dict[str, CollectiveCosts]) -> np.ndarray:
    """Return the time of the fastest plan and protocol for each size, in seconds."""
    options = []
    for plan in case.plans:
        planned = schedule(with_costs(plan, costs), case.capacities)
        options += [alone_s(planned, protocol, case.sizes) for protocol in planned.start_s]
    return np.min(options, axis=0)


def alone_s(planned: Schedule, protocol: str, sizes: np.ndarray) -> np.ndarray:
    """`Schedule.alone_s` for an array of sizes."""
    total = np.full(len(sizes), planned.start_s[protocol])
    for phase in planned.phases:
        cost = phase.costs[protocol]
        walks = [
            per_byte * sizes * phase.phase.step_fraction + latency_s for per_byte, latency_s in cost.walks
        ]
        total += cost.delay_s + np.max(walks, axis=0)
    return total


def with_costs(plan: Plan, costs: dict[str, CollectiveCosts]) -> Plan:
    """Return the plan with the cost entries of its connections exchanged."""

    def changed(connection: Connection) -> Connection:
        return replace(connection, costs=costs[connection.costs.name])

    def phase_of(phase: Phase) -> Phase:
        if isinstance(phase, Lockstep):
            return replace(phase, rings=tuple(tuple(map(changed, ring)) for ring in phase.rings))
        return replace(phase, connections=tuple(map(changed, phase.connections)))

    return replace(plan, phases=tuple(map(phase_of, plan.phases)))


def pack(entry: CollectiveCosts, families: tuple[str, ...], *, base: bool) -> np.ndarray:
    """Logarithms of latencies and logits of efficiencies; starts and logits as increments.

    The first protocol starts at zero; where it is the only one, its start is fitted and its step kept.
    """
    values = [np.log(entry.base_latency_s)] if base else []
    for family in families:
        protocols = list(entry.families[family].values())
        starts_s = np.diff([protocol.start_latency_s for protocol in protocols])
        efficiencies = np.array([protocol.bandwidth_efficiency for protocol in protocols])
        logits = np.log(efficiencies / (1.0 - efficiencies))
        first = protocols[0].step_latency_s if len(protocols) > 1 else protocols[0].start_latency_s
        values += [np.log(first), *np.log(np.maximum(starts_s, 1e-7))]
        values += [logits[0], *np.log(np.maximum(np.diff(logits), 0.1))]
    return np.array(values)


def unpack(
    entry: CollectiveCosts, families: tuple[str, ...], vector: np.ndarray, *, base: bool
) -> CollectiveCosts:
    """Inverse of `pack`; what is not fitted is kept."""
    values = iter(np.clip(vector, -20.0, 6.0))
    base_s = float(np.exp(next(values))) if base else entry.base_latency_s
    protocols = dict(entry.families)
    for family in families:
        names = list(entry.families[family])
        first_s = float(np.exp(next(values)))
        starts_s = np.cumsum([0.0, *(np.exp(next(values)) for _ in names[1:])])
        step_s = first_s
        if len(names) == 1:
            starts_s[0], step_s = first_s, entry.families[family][names[0]].step_latency_s
        logits = np.cumsum([next(values), *(np.exp(next(values)) for _ in names[1:])])
        efficiencies = 1.0 / (1.0 + np.exp(-np.clip(logits, -4.0, 6.0)))
        protocols[family] = {
            name: Protocol(name, float(start_s), step_s, float(efficiency))
            for name, start_s, efficiency in zip(names, starts_s, efficiencies, strict=True)
        }
    return replace(entry, base_latency_s=base_s, families=protocols)


def nelder_mead(loss: Callable[[np.ndarray], float], start: np.ndarray, *, scale: float) -> np.ndarray:
    """Minimise by the simplex of Nelder and Mead (1965)."""
    points = [start, *(start + scale * axis for axis in np.eye(len(start)))]
    values = [loss(point) for point in points]
    for _ in range(120 * len(start)):
        order = np.argsort(values)
        points, values = [points[i] for i in order], [values[i] for i in order]
        if values[-1] - values[0] < 1e-5:
            break
        middle = np.mean(points[:-1], axis=0)
        reach = middle - points[-1]
        tried = [(loss(middle + reach), middle + reach)]
        if tried[0][0] < values[0]:
            tried.append((loss(middle + 2 * reach), middle + 2 * reach))
        elif tried[0][0] >= values[-2]:
            tried.append((loss(middle - 0.5 * reach), middle - 0.5 * reach))
        value, point = min(tried, key=lambda option: option[0])
        if value < values[-1]:
            points[-1], values[-1] = point, value
        else:
            points = [points[0] + 0.5 * (point - points[0]) for point in points]
            values = [loss(point) for point in points]
    return points[int(np.argmin(values))]


def print_entry(entry: CollectiveCosts) -> None:
    print(f"  {entry.name}:\n    base_latency: {1e6 * entry.base_latency_s:.3g} us\n    families:")
    for family, protocols in entry.families.items():
        step_s = next(iter(protocols.values())).step_latency_s
        print(f"      {family}:\n        step_latency: {1e6 * step_s:.3g} us\n        protocols:")
        for name, protocol in protocols.items():
            start, efficiency = f"{1e6 * protocol.start_latency_s:.3g} us", protocol.bandwidth_efficiency
            print(f"          {name}: {{start_latency: {start}, efficiency: {efficiency:.3g}}}")


if __name__ == "__main__":
    main()
