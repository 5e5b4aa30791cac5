"""Collectives as macro-flows against the same collectives step by step: the error, case by case.

    python benchmarks/macro_exactness.py [--quick] [--json FILE]
    python benchmarks/macro_exactness.py --large [--ranks 512] [--transfers 5000] [--ratios 0.01,1]
                                                 [--solvers compiled,python]

Errors are (macro-flow - step by step) / step by step, of the time that a ring all-reduce takes and of the
times of the transfers beside it; positive is pessimistic. A ring of N ranks has N messages in flight:
as many bytes as the buffer that is reduced. Transfers are given as a ratio to that. `spread` is what a
run knows by itself, without the step-by-step one: see docs/exactness.md. `--large` has two rings over
all nodes of an oversubscribed fat-tree and prints the CPU time of both ways too, with the same solver;
step by step it takes minutes. Timed is the simulation, once the world is built and the rings are planned;
of macro-flows, which take about a second, the best of three. Ends with 1 where a ring alone is off by
more than 1.5 %.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import exactness_cases as cases
from collective_cases import Case, Outcome, relative_errors, run

Row = dict[str, Any]
MIB = 2**20
_TOLERATED_ALONE = 0.015


def compare(case: Case, *, solver: str = "auto", repeat: int = 1) -> Row:
    """Run a case both ways; as macro-flows `repeat` times, of which the fastest counts."""
    macro = min((run(case, "macro", solver=solver) for _ in range(repeat)), key=lambda one: one.cpu_s)
    stepwise = run(case, "stepwise", solver=solver)
    errors = relative_errors(macro.collectives_s, stepwise.collectives_s)
    return {
        "case": case.name,
        "ranks": len(case.groups[0]),
        "size_bytes": case.size_bytes,
        "transfers": len(case.transfers),
        "error": max(errors.tolist(), key=abs),
        "spread": macro.spread,
        "latency": macro.latency,
        "slower_than_alone": [max(way.collectives_s) / macro.alone_s for way in (macro, stepwise)],
        "transfer_errors": _summary(macro, stepwise),
        "cpu_s": [macro.cpu_s, stepwise.cpu_s],
        "events": [macro.events, stepwise.events],
        "solves": [macro.solves, stepwise.solves],
    }


def _percent(part: float, digits: int) -> str:
    """With its sign, unless it is nothing."""
    shown = f"{part:+.{digits}%}"
    return shown if shown.strip("+-0.%") else f"{0:.{digits}%}"


def _summary(macro: Outcome, stepwise: Outcome) -> dict[str, float]:
    """How far the transfers are off: all together, one by one."""
    if not macro.transfers_s:
        return {}
    errors = relative_errors(macro.transfers_s, stepwise.transfers_s)
    return {
        "mean": float(np.mean(macro.transfers_s) / np.mean(stepwise.transfers_s) - 1.0),
        "median": float(np.median(errors)),
        "p95_of_absolute": float(np.percentile(np.abs(errors), 95)),
    }


def print_alone(ranks: Sequence[int], sizes: Sequence[float]) -> list[Row]:
    """Rings alone and two rings that share links: a row for each number of ranks and size."""
    rows = []
    heads = ("equal links", "unequal", "oversubscribed", "two, same links", "two, uplinks")
    print(f"{'ranks':>6}{'MiB':>7}" + "".join(f"{head:>17}" for head in heads))
    for count in ranks:
        for size_bytes in sizes:
            found = [
                compare(case) for case in (*cases.alone(count, size_bytes), *cases.two(count, size_bytes))
            ]
            rows += found
            print(
                f"{count:>6}{size_bytes / MIB:>7.0f}"
                + "".join(f"{_percent(row['error'], 2):>17}" for row in found)
            )
            sys.stdout.flush()
    return rows


def print_staggered(ranks: Sequence[int], sizes: Sequence[float], parts: Sequence[float]) -> list[Row]:
    """Two rings on the same links, the second a part of a step later than the first."""
    rows = []
    print("\ntwo on the same links, the second later by a part of a step")
    print(f"{'ranks':>6}{'MiB':>7}{'latency alone':>15}" + "".join(f"{part:>10g}" for part in parts))
    for count in ranks:
        for size_bytes in sizes:
            found = [compare(cases.staggered(count, size_bytes, part)) for part in parts]
            rows += found
            cells = "".join(f"{_percent(row['error'], 1):>10}" for row in found)
            print(f"{count:>6}{size_bytes / MIB:>7.0f}{found[0]['latency']:>15.1%}{cells}", flush=True)
    return rows


_BESIDE = f"{'':>9}{'':>9}{'':>11}{'times its time alone':>22}{'':>9}{'':>9}   error of the transfers\n"
_BESIDE += f"{'ratio':>9}{'load':>9}{'transfers':>11}{'macro':>11}{'steps':>11}{'error':>9}{'spread':>9}"
_BESIDE += f"{'mean':>9}{'median':>9}{'p95':>9}"


def print_beside(
    ranks: Sequence[int], ratios: Sequence[float], loads: Sequence[float], size_bytes: float
) -> list[Row]:
    """One ring beside transfers of one size."""
    rows = []
    for count in ranks:
        print(f"\n{count} ranks, {size_bytes / MIB:.0f} MiB, beside transfers\n{_BESIDE}")
        for load in loads:
            for ratio in ratios:
                case = cases.beside_transfers(count, size_bytes, transfer_bytes=ratio * size_bytes, load=load)
                rows.append(compare(case))
                print(_beside_line(ratio, f"{load:.0%}", rows[-1]), flush=True)
    return rows


def _beside_line(ratio: float, load: str, row: Row) -> str:
    cells = [f"{ratio:>9.4g}{load:>9}{row['transfers']:>11,}"]
    cells += [f"{times:>11.3f}" for times in row["slower_than_alone"]]
    cells += [f"{_percent(row['error'], 1):>9}{row['spread']:>9.1%}"]
    off = row["transfer_errors"]
    cells += [f"{_percent(off['mean'], 1):>9}{_percent(off['median'], 1):>9}{off['p95_of_absolute']:>9.1%}"]
    return "".join(cells)


def print_chunked(ranks: int, size_bytes: float, sizes: Sequence[float], pieces: Sequence[int]) -> list[Row]:
    """The ring cut into pieces that go one after another, so that less is in flight."""
    rows = []
    print(f"\n{ranks} ranks, {size_bytes / MIB:.0f} MiB, load 5%: error by size of message\n{'':>15}", end="")
    print("".join(f"{size_bytes / ranks / piece / MIB:>8g} MiB" for piece in pieces))
    for transfer_bytes in sizes:
        print(f"{transfer_bytes / MIB:>11g} MiB", end="")
        for piece in pieces:
            case = cases.beside_transfers(
                ranks, size_bytes, transfer_bytes=transfer_bytes, load=0.05, repeat=piece
            )
            rows.append(compare(case))
            print(f"{_percent(rows[-1]['error'], 1):>12}", end="", flush=True)
        print()
    return rows


def print_large(ranks: int, transfers: int, ratios: Sequence[float], solvers: Sequence[str]) -> list[Row]:
    """Two rings and many transfers on one oversubscribed fat-tree."""
    rows = []
    print(
        f"two all-reduces of 1 GB over {ranks} ranks each and {transfers:,} transfers, oversubscribed 4 to 1"
    )
    print(_BESIDE + f"{'solver':>10}   CPU s: macro    steps   faster   events: macro      steps")
    for solver in solvers:
        run(cases.large(4, 4, 1e9, 1.0), "stepwise", solver=solver)  # loads the compiled one
        for ratio in ratios:
            row = compare(cases.large(ranks, transfers, 1e9, ratio), solver=solver, repeat=3)
            rows.append({**row, "solver": solver})
            macro_s, steps_s = row["cpu_s"]
            cost = f"{solver:>10}{macro_s:>15.2f}{steps_s:>9.1f}{steps_s / macro_s:>8.0f}x"
            cost += "{:>16,}{:>11,}".format(*row["events"])
            print(_beside_line(ratio, "", row) + cost, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small groups, few cases")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    parser.add_argument("--large", action="store_true", help="two rings and many transfers instead")
    parser.add_argument("--ranks", type=int, default=512, help="of each ring of --large")
    parser.add_argument("--transfers", type=int, default=5000, help="of --large")
    parser.add_argument(
        "--ratios", default="0.001,0.01,0.1,1,4", help="of --large: size over bytes in flight"
    )
    parser.add_argument("--solvers", default="compiled,python", help="of --large; auto: as a user's run")
    options = parser.parse_args()
    if options.large:
        ratios = [float(ratio) for ratio in options.ratios.split(",")]
        rows = print_large(options.ranks, options.transfers, ratios, options.solvers.split(","))
    elif options.quick:
        rows = print_alone((4, 8), (64 * MIB,))
        rows += print_staggered((8,), (MIB,), (0, 0.5))
        rows += print_beside((8,), (1 / 64, 1, 16), (0.05,), 64 * MIB)
    else:
        rows = print_alone((4, 8, 16, 32, 64, 128), (MIB, 64 * MIB, 1024 * MIB))
        rows += print_staggered((8, 32, 128), (MIB, 64 * MIB), (0, 0.25, 0.5, 0.75))
        ratios = (1 / 256, 1 / 64, 1 / 16, 1 / 4, 1, 4, 16)
        rows += print_beside((8, 32, 128), ratios, (0.02, 0.1, 0.4), 256 * MIB)
        rows += print_chunked(32, 256 * MIB, (MIB / 4, MIB, 4 * MIB, 16 * MIB), (1, 4, 16))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    off = [row for row in rows if row["case"] in cases.ALONE]
    sys.exit(any(abs(row["error"]) > _TOLERATED_ALONE for row in off))


if __name__ == "__main__":
    main()
