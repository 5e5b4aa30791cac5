"""Fit the parameters of `catalog/data/collectives.yaml` on nccl-tests style tables.

    python tools/fit_collectives.py ../shared/truth/C_collectives.csv [--only nvlink-4] [--leave-one-out]

Reads rows marked `calibrate`, fits one link kind after another (scale-up first, since rows across
nodes use both) by Nelder-Mead on the mean absolute logarithmic error, and prints YAML to paste.
Nothing is fitted per table. `--leave-one-out` fits without each system in turn and prints how well
that system is then predicted. Numpy alone; about a minute, three with `--leave-one-out`.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from collective_parameters import Tie, nelder_mead, vector_of, with_vector

from clustersim.catalog.collectives import SHELF, CollectiveCosts
from clustersim.catalog.hardware import read_library
from clustersim.collectives.load import PhaseLoad
from clustersim.collectives.macro import priced
from clustersim.collectives.plan import Plan
from clustersim.errors import ClusterSimError
from clustersim.study.validation.collectives.cluster import communicator
from clustersim.study.validation.collectives.prediction import algorithm_for, kind_of
from clustersim.study.validation.collectives.validation import hardware_of

MIB = 2.0**20
PROTOCOLS = ("ll", "ll128", "simple")
Costs = Mapping[str, CollectiveCosts]


@dataclass(frozen=True)
class Target:
    """Parameters of one link kind, and the tables that they are fitted on.

    `tables` are pairs of the beginning of a table's id and the least size in bytes; `like` is the
    entry that stands in where no table of the kind is left.
    """

    entry: str
    names: tuple[str, ...]
    tables: tuple[tuple[str, float], ...]
    ties: tuple[Tie, ...] = ()
    kernels: bool = False
    like: str = ""


def protocols(family: str, *fields: str) -> tuple[str, ...]:
    """Fields of all protocols of a family; the first protocol starts at zero."""
    names = (f"{family}.{protocol}.{field}" for protocol in PROTOCOLS for field in fields)
    return tuple(name for name in names if name != f"{family}.ll.start")


def same_steps(family: str) -> tuple[Tie, ...]:
    """One hop: the step of a protocol cannot be told from its start."""
    return tuple(Tie(f"{family}.{name}.step", f"{family}.ll.step") for name in PROTOCOLS[1:])


# Where all tables are of one number of ranks or nodes only one latency of a hop can be fitted. What
# protocols and trees take beyond it is the difference in NCCL's own table (LL, LL128, Simple):
# NVIDIA/nccl@5067397, src/graph/tuning.cc, hwLatencies.
HOPS_US = {"ring": (2.7, 4.0, 14.0), "tree": (5.0, 8.5, 14.0)}
NVLINK_STEPS_US = (0.6, 1.9, 3.4)
PCIE_STEPS_US = (1.0, 2.5, 5.7)


def steps_of(family: str, table_us: Sequence[float]) -> tuple[Tie, ...]:
    """Tie the steps of a family to that of `ll`."""
    return tuple(
        Tie(f"{family}.{name}.step", f"{family}.ll.step", 1e-6 * (us - table_us[0]))
        for name, us in zip(PROTOCOLS[1:], table_us[1:], strict=True)
    )


def hops(fitted: str, *, both: bool = True) -> tuple[Tie, ...]:
    """Tie all hop latencies of rings and trees to the `ll` hop of one; start and efficiency are shared."""
    other = {"ring": "tree", "tree": "ring"}[fitted]
    follows, first_us = f"{fitted}.ll.step", HOPS_US[fitted][0]
    ties = [
        Tie(f"{family}.{name}.step", follows, 1e-6 * (us - first_us))
        for family in ((fitted, other) if both else (fitted,))
        for name, us in zip(PROTOCOLS, HOPS_US[family], strict=True)
        if f"{family}.{name}.step" != follows
    ]
    ties += [
        Tie(f"{other}.{name}.{field}", f"{fitted}.{name}.{field}")
        for name in PROTOCOLS
        for field in ("start", "efficiency")
    ]
    return tuple(ties)


def between(fitted: str) -> tuple[str, ...]:
    return (f"{fitted}.ll.step", *protocols(fitted, "start", "efficiency"))


ONE_SIZE = ("base", "ring.ll.step", *protocols("ring", "start", "efficiency"))
RING = ("base", "ring.copy", *protocols("ring", "start", "step", "efficiency"))
DIRECT = ("direct.copy", "direct.ll.step", *protocols("direct", "start", "efficiency"))
SENDS = ("send_recv.ll.step", *protocols("send_recv", "start", "efficiency"))
KERNELS = ("one_shot.base", "one_shot.simple.efficiency", "two_shot.base", "two_shot.simple.efficiency")
# T24 to T29 are of one thread that launches for eight GPUs (the log says nThread 1 nGpus 8): 35 us for
# four bytes, 87 us for any all-to-all. Only their large messages tell about links.
A100_HOST = 64 * MIB
TARGETS = (
    Target(
        "nvlink-3",
        RING,
        (
            ("AIC-a100_sxm-all_", 0),
            ("AIC-a100_sxm-reduce", 0),
            ("T24", A100_HOST),
            ("T26", A100_HOST),
            ("T27", A100_HOST),
            ("T28", A100_HOST),
            ("T29", A100_HOST),
        ),
        like="nvlink-4",
    ),
    Target(
        "nvlink-3",
        DIRECT,
        (("AIC-a100_sxm-alltoall", 0), ("T25", A100_HOST)),
        same_steps("direct"),
        like="nvlink-4",
    ),
    Target(
        "nvlink-3", SENDS, (("VID-a100_dgx-send_recv-n2-d2", 0),), same_steps("send_recv"), like="nvlink-4"
    ),
    Target("nvlink-3", KERNELS, (("AIC-a100_sxm-vllm", 0),), kernels=True, like="nvlink-4"),
    Target(
        "nvlink-4",
        (*RING, "nvls.simple.start", "nvls.simple.efficiency"),
        (
            ("AIC-h100_sxm-all_", 0),
            ("AIC-h100_sxm-reduce", 0),
            ("T08", 0),
            ("T10", 0),
            ("T30", 0),
            ("T31", 0),
        ),
        like="nvlink-3",
    ),
    Target("nvlink-4", DIRECT, (("AIC-h100_sxm-alltoall", 0),), same_steps("direct"), like="nvlink-3"),
    Target(
        "nvlink-4", SENDS, (("VID-h100_dgx-send_recv-n2-d2", 0),), same_steps("send_recv"), like="nvlink-3"
    ),
    Target("nvlink-4", KERNELS, (("AIC-h100_sxm-vllm", 0),), kernels=True, like="nvlink-3"),
    Target("xgmi", ONE_SIZE, (("T16", 0),), steps_of("ring", NVLINK_STEPS_US), like="nvlink-3"),
    # Four and eight of these GPUs copy through host memory: another link, whose rate is theirs alone.
    Target(
        "pcie",
        (*ONE_SIZE, "ring.copy"),
        (("AIC-l40s-all_gather-2", 0), ("AIC-l40s-all_reduce-2", 0), ("AIC-l40s-reduce_scatter-2", 0)),
        steps_of("ring", PCIE_STEPS_US),
        like="nvlink-4",
    ),
    Target("pcie", DIRECT, (("AIC-l40s-alltoall-2", 0),), same_steps("direct"), like="nvlink-4"),
    Target("efa-100g", between("tree"), (("T05", 0),), hops("tree"), like="efa-400g"),
    # T07 is the same system with a library of 2023 that takes up to twice as long.
    Target("efa-400g", between("tree"), (("T06", 0),), hops("tree"), like="tcpxo-200g"),
    Target("tcpxo-200g", between("tree"), (("T00", 0),), hops("tree", both=False), like="efa-400g"),
    # Left free, ll128 would reach more than simple.
    Target(
        "ethernet-400g",
        tuple(name for name in between("ring") if name != "ring.ll128.efficiency"),
        (("T03", 0),),
        (Tie("ring.ll128.efficiency", "ring.simple.efficiency"), *hops("ring")),
        like="efa-400g",
    ),
)


@dataclass(frozen=True)
class Case:
    """Rows of one table that run one algorithm: its plans on their links, sizes and times."""

    table: str
    system: str
    plans: tuple[tuple[Plan, tuple[PhaseLoad, ...]], ...]
    sizes: np.ndarray
    times_s: np.ndarray
    kernels: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--only", default="", help="fit this link kind alone")
    parser.add_argument("--leave-one-out", action="store_true", help="predict each system from the others")
    arguments = parser.parse_args()
    with arguments.table.open(newline="") as file:
        cases = list(read_cases([row for row in csv.DictReader(file) if row["use"] == "calibrate"]))
    known: Costs = {name: SHELF.get(name) for name in SHELF.names()}
    if arguments.leave_one_out:
        leave_one_out(cases, known)
        return
    for target in TARGETS:
        if arguments.only in ("", target.entry):
            known = fit(target, known, cases)
    for name in dict.fromkeys(target.entry for target in TARGETS):
        if arguments.only in ("", name):
            print_entry(known[name])


def read_cases(rows: Sequence[dict[str, str]]) -> Iterator[Case]:
    by_table: dict[str, list[dict[str, str]]] = {}
    system = ""
    for row in rows:
        system = system if row["system"] == "same" else row["system"]
        by_table.setdefault(row["table_id"], []).append({**row, "system": system})
    for table, members in by_table.items():
        try:
            yield from _cases_of(table, members)
        except ClusterSimError as error:
            print(f"{table}: {error}", file=sys.stderr)


def _cases_of(table: str, rows: Sequence[dict[str, str]]) -> Iterator[Case]:
    hardware, library = hardware_of(rows[0]), read_library(rows[0]["library"])
    kind = kind_of(rows[0]["collective"])
    if kind.startswith("send_recv") and hardware.nodes * hardware.gpus_per_node > 2:
        return
    algorithms = [algorithm_for(hardware, library, kind, float(row["size_bytes"])) for row in rows]
    for algorithm in dict.fromkeys(algorithms):
        members = [row for row, one in zip(rows, algorithms, strict=True) if one == algorithm]
        schedules = communicator(hardware, algorithm=algorithm).candidates(kind)
        yield Case(
            table,
            rows[0]["system"],
            tuple((one.plan, tuple(phase.load for phase in one.phases)) for one in schedules),
            np.array([float(row["size_bytes"]) for row in members]),
            1e-6 * np.array([float(row["time_us"]) for row in members]),
            algorithm != "auto",
        )


def chosen(target: Target, cases: Sequence[Case]) -> list[tuple[Case, np.ndarray]]:
    """Cases of a target with the rows that count."""
    found = []
    for case in cases:
        least = [size for words, size in target.tables if case.table.startswith(words)]
        if least and case.kernels == target.kernels and (rows := case.sizes >= min(least)).any():
            found.append((case, rows))
    return found


def fit(target: Target, known: Costs, cases: Sequence[Case]) -> Costs:
    """Return the entries with the parameters of the target fitted."""
    start, parts = known[target.entry], chosen(target, cases)

    def costs_of(vector: np.ndarray) -> Costs:
        return {**known, target.entry: with_vector(start, target.names, vector, target.ties)}

    def loss(vector: np.ndarray) -> float:
        costs = costs_of(vector)
        errors = [np.abs(np.log(predict(case, costs)[rows] / case.times_s[rows])) for case, rows in parts]
        return float(np.mean(np.concatenate(errors)))

    vector = vector_of(start, target.names)
    for scale in (0.5, 0.3, 0.1):
        vector = nelder_mead(loss, vector, scale=scale)
    families = "+".join(dict.fromkeys(name.split(".")[0] for name in target.names))
    print(f"{target.entry} {families}: mean |log error| {loss(vector):.3f}", file=sys.stderr)
    return costs_of(vector)


def predict(case: Case, costs: Costs) -> np.ndarray:
    """Return the time of the fastest plan and protocol for each size, in seconds."""
    options = []
    for plan, loads in case.plans:
        changed = [replace(load, costs=tuple(costs[one.name] for one in load.costs)) for load in loads]
        schedule = priced(plan, changed)
        for protocol, start_s in schedule.start_s.items():
            walks = [np.array(phase.costs[protocol].walks) for phase in schedule.phases]
            options.append(
                start_s + sum((np.outer(case.sizes, w[:, 0]) + w[:, 1]).max(axis=1) for w in walks)
            )
    return np.min(options, axis=0)


def leave_one_out(cases: Sequence[Case], known: Costs) -> None:
    """Print how each system is predicted by parameters that were fitted without it."""
    print(f"{'system':<50}{'parameters':<36}{'below 1 MiB':>13}{'from 1 MiB':>13}")
    for system in dict.fromkeys(case.system for case in cases):
        own = [case for case in cases if case.system == system]
        others = [case for case in cases if case.system != system]
        costs, how = dict(known), {}
        for target in TARGETS:
            if not chosen(target, own):
                continue
            if covers_small(chosen(target, others)) or not covers_small(chosen(target, own)):
                costs = dict(fit(target, costs, others))
                how["refitted"] = None
            else:
                costs[target.entry] = borrowed(target, costs)
                how[f"of {target.like}"] = None
        print(f"{system:<50}{', '.join(how) or 'never fitted on it':<36}{_medians(own, costs)}")


def covers_small(parts: Sequence[tuple[Case, np.ndarray]]) -> bool:
    """Whether there are messages that latencies can be fitted on."""
    return any((case.sizes[rows] < MIB).any() for case, rows in parts)


def borrowed(target: Target, costs: Costs) -> CollectiveCosts:
    """The entry with what another has in place of the families that are fitted."""
    entry, like = costs[target.entry], costs[target.like]
    wanted = {name.split(".")[0] for name in (*target.names, *(tie.name for tie in target.ties))} - {"base"}
    families = dict(entry.families)
    for family in wanted:
        families[family] = next(like.families[key] for key in (family, "ring") if key in like.families)
    base_s = like.base_latency_s if "base" in target.names else entry.base_latency_s
    return replace(entry, base_latency_s=base_s, families=families)


def _medians(cases: Sequence[Case], costs: Costs) -> str:
    errors = np.concatenate([np.abs(predict(case, costs) / case.times_s - 1) for case in cases])
    large = np.concatenate([case.sizes >= MIB for case in cases])
    parts = (errors[~large], errors[large])
    return "".join(f"{f'{np.median(part):.1%}' if len(part) else '-':>13}" for part in parts)


def print_entry(entry: CollectiveCosts) -> None:
    print(f"  {entry.name}:\n    base_latency: {1e6 * entry.base_latency_s:.3g} us\n    families:")
    for family, table in entry.families.items():
        print(f"      {family}:")
        first = next(iter(table.values()))
        own_base = family in ("one_shot", "two_shot")
        if own_base:
            print(f"        base_latency: {1e6 * (entry.base_latency_s + first.start_latency_s):.3g} us")
        if first.local_copy:
            print(f"        local_copy: {first.local_copy:.3g}")
        print("        protocols:")
        for name, protocol in table.items():
            start_us = 0.0 if own_base else 1e6 * protocol.start_latency_s
            print(
                f"          {name}: {{start_latency: {start_us:.3g} us, step_latency: "
                f"{1e6 * protocol.step_latency_s:.3g} us, efficiency: {protocol.bandwidth_efficiency:.3g}}}"
            )


if __name__ == "__main__":
    main()
