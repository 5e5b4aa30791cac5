"""`clustersim explain`: what workloads are about, and which technique would help each most."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from clustersim.cli._arguments import (
    add_progress,
    add_set,
    count,
    load_with,
    output_folder,
    terminal_width,
)
from clustersim.cli._progress import progress_bar

HELP = "training and inference side by side, measured; techniques turned on and off by running again"

_RUNS = "runs"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("scenarios", metavar="SCENARIO", nargs="+", help="scenario files (YAML)")
    add_set(parser)
    parser.add_argument("--jobs", type=count, metavar="N", help="processes at once; by default one per core")
    parser.add_argument(
        "--out", type=output_folder, metavar="DIR", help="keep every run there at once, then the tables"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the tables")
    add_progress(parser)


def execute(args: argparse.Namespace) -> int:
    """Run, print, keep."""
    scenarios = [load_with(path, args.settings) for path in args.scenarios]
    from clustersim.study.explain import explain

    names = ", ".join(scenario.name for scenario in scenarios)
    with progress_bar(f"explain {names}", wanted=args.progress) as report:
        study = explain(
            *scenarios,
            jobs=args.jobs,
            store=None if args.out is None else Path(args.out) / _RUNS,
            progress=report,
        )
    print(study.to_json() if args.json else study.summary(width=terminal_width()))
    if args.out is not None:
        study.save(args.out)
        print(f"kept in {args.out}", file=sys.stderr)
    return 0
