"""`clustersim capacity`: the highest load that a service keeps its objectives at."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from clustersim.cli._arguments import (
    add_progress,
    add_scenario,
    add_set,
    count,
    load_with,
    output_folder,
    parse_settings,
    picture_file,
    terminal_width,
)
from clustersim.cli._progress import progress_bar
from clustersim.errors import InputError

HELP = "search the highest load that a service keeps its objectives at, and the cheapest configuration"

_RUNS = "runs"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_scenario(parser)
    add_set(parser)
    parser.add_argument("--service", metavar="NAME", help="which service, where the scenario has several")
    parser.add_argument(
        "--attainment",
        type=_share,
        metavar="SHARE",
        help="share of requests that have to keep the objectives (0.99; of a ranking service its percentile)",
    )
    parser.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="PATH=A,B,...",
        help="search for each of these values; several give every combination",
    )
    parser.add_argument(
        "--tolerance", type=_share, default=0.02, metavar="X", help="relative width at which it ends (0.02)"
    )
    parser.add_argument("--seeds", type=count, default=1, metavar="N", help="runs at each load (1)")
    parser.add_argument(
        "--curve", type=int, default=8, metavar="N", help="further loads that latency is measured at (8)"
    )
    parser.add_argument("--jobs", type=count, metavar="N", help="processes at once; by default one per core")
    parser.add_argument(
        "--out",
        type=output_folder,
        metavar="DIR",
        help="keep every run there at once, then tables and pictures",
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the summary")
    parser.add_argument(
        "--plot", type=picture_file, metavar="FILE", help="draw latency over load (PNG, SVG or PDF)"
    )
    add_progress(parser)


def execute(args: argparse.Namespace) -> int:
    """Search, print, keep."""
    scenario = load_with(args.scenario, args.settings)
    from clustersim.study.capacity import capacity

    with progress_bar(f"capacity of {scenario.name}", wanted=args.progress) as report:
        study = capacity(
            scenario,
            service=args.service,
            attainment=args.attainment,
            vary=_varied(args.vary),
            tolerance=args.tolerance,
            seeds=args.seeds,
            curve=args.curve,
            jobs=args.jobs,
            store=None if args.out is None else Path(args.out) / _RUNS,
            progress=report,
        )
    print(study.to_json() if args.json else study.summary(width=terminal_width()))
    if args.plot is not None:
        study.plot.latency().save(args.plot)
        print(f"drawn in {args.plot}", file=sys.stderr)
    if args.out is not None:
        study.save(args.out)
        print(f"kept in {args.out}", file=sys.stderr)
    return 0


def _varied(texts: list[str]) -> dict[str, list[Any]]:
    """Read `PATH=A,B,C`; commas within brackets belong to a value."""
    found: dict[str, list[Any]] = {}
    for text in texts:
        path, equals, values = text.partition("=")
        if not equals or not values:
            raise InputError(f"--vary takes PATH=A,B,..., got '{text}'")
        found[path] = [parse_settings([f"{path}={value}"])[path] for value in _split(values)]
    return found


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _share(text: str) -> float:
    """Read a number above 0 and up to 1 (an argparse type)."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 1.0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0 and up to 1")
    return value
