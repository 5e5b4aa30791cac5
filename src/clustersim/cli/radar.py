"""`clustersim radar`: what each workload needs, on five axes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clustersim.cli._arguments import (
    add_progress,
    add_set,
    count,
    load_with,
    output_folder,
    parse_settings,
    picture_file,
    seed,
    terminal_width,
)
from clustersim.cli._progress import progress_bar

if TYPE_CHECKING:
    from clustersim.spec.scenario import Scenario

HELP = "what each workload needs: compute, memory capacity, memory bandwidth, network bandwidth and latency"

_RUNS = "runs"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "scenarios",
        metavar="SCENARIO",
        nargs="*",
        help="scenario files, each workload in them one polygon; by default the shipped scenarios/radar: "
        "LLM training, prefill and decode, ranking training and inference",
    )
    add_set(parser)
    parser.add_argument(
        "--workload",
        action="append",
        default=[],
        metavar="NAME",
        help="only this workload of the scenarios; may be repeated",
    )
    parser.add_argument("--seed", type=seed, metavar="N", help="in place of the scenarios' own")
    parser.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run again with each resource 5 %% slower and faster, to check the shares",
    )
    parser.add_argument(
        "--what-if",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run again with each resource half, twice and four times as fast",
    )
    parser.add_argument(
        "--memory",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run again with a tenth less and more memory, planned anew, for what memory is worth",
    )
    parser.add_argument(
        "--capacity",
        action="store_true",
        help="search the highest load that services keep their objectives at, with each resource slower "
        "and faster, for services whose requests come at a rate",
    )
    parser.add_argument(
        "--jobs", type=count, metavar="N", help="processes at once; by default as runs are long"
    )
    parser.add_argument(
        "--out",
        type=output_folder,
        metavar="DIR",
        help="keep every run there at once, then tables and pictures; asked again, it goes on from there",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON in place of the tables")
    form.add_argument("--csv", action="store_true", help="print a row per workload and resource as CSV")
    parser.add_argument("--plot", type=picture_file, metavar="FILE", help="draw the radar (PNG, SVG or PDF)")
    add_progress(parser)


def execute(args: argparse.Namespace) -> int:
    """Run, print, keep."""
    from clustersim.study.radar import radar

    with progress_bar("radar", wanted=args.progress) as report:
        study = radar(
            _scenarios(args.scenarios, args.settings),
            workloads=args.workload,
            seed=args.seed,
            check=args.check,
            what_if=args.what_if,
            memory=args.memory,
            capacity=args.capacity,
            jobs=args.jobs,
            store=None if args.out is None else Path(args.out) / _RUNS,
            progress=report,
        )
    if args.json or args.csv:
        print(study.to_json() if args.json else study.to_csv().rstrip("\n"))
    else:
        print(study.summary(width=terminal_width()))
    if args.plot is not None:
        study.plot.radar().save(args.plot)
        print(f"drawn in {args.plot}", file=sys.stderr)
    if args.out is not None:
        study.save(args.out)
        print(f"kept in {args.out}", file=sys.stderr)
    return 0


def _scenarios(paths: Sequence[str], settings: Sequence[str]) -> Sequence[Scenario] | Mapping[str, Scenario]:
    """Return the scenarios that are named, or the shipped ones, each with the changes of `--set`."""
    if paths:
        return [load_with(path, settings) for path in paths]
    from clustersim.study.radar.workload import shipped_scenarios

    changes = parse_settings(settings)
    return {label: scenario.with_(**changes) for label, scenario in shipped_scenarios().items()}
