"""`clustersim validate`: predictions beside published measurements."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clustersim.cli._arguments import add_progress, picture_file
from clustersim.cli._exit_codes import INTERRUPTED
from clustersim.cli._measured_run import RUN_FILES, add_run_arguments, validate_run_file
from clustersim.cli._progress import progress_bar
from clustersim.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from clustersim.study.validation import ValidationReport

HELP = "print predictions beside published measurements, or beside a run of your own, with the error"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "name",
        metavar="NAME|FILE",
        nargs="?",
        help="which validation; without it they are listed. Or a file with a measured run of a serving "
        "engine: results of vLLM's or SGLang's benchmark, of GenAI-Perf, or a CSV table of requests",
    )
    parser.add_argument(
        "--table",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="your own rows, in the columns of the shipped table; of kernels also a folder of public tables",
    )
    add_run_arguments(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON: per row measured, predicted, error")
    form.add_argument("--csv", action="store_true", help="print the same as CSV")
    parser.add_argument(
        "--plot", type=picture_file, metavar="FILE", help="draw predicted against measured (PNG, SVG or PDF)"
    )
    add_progress(parser)


def execute(args: argparse.Namespace) -> int:
    """Run one validation, or list them."""
    from clustersim.study.validation import registry

    if args.name is not None and (args.scenario is not None or args.name.endswith(RUN_FILES)):
        return _print(validate_run_file(args), args)
    known = registry()
    if args.name is None:
        for name, validation in known.items():
            print(f"{name}: {validation.title}")
        return 0
    if args.name not in known:
        raise InputError(f"there is no validation called '{args.name}'.{did_you_mean(args.name, known)}")
    for table in args.table:
        if not table.exists():
            raise InputError(f"{table}: no such file or folder")
    with progress_bar(f"validate {args.name}", wanted=args.progress, clock="{:.0f} s") as progress:
        report = known[args.name].run(*args.table, progress=progress)
    return _print(report, args)


def _print(report: ValidationReport, args: argparse.Namespace) -> int:
    print(report.to_json() if args.json else report.to_csv().rstrip() if args.csv else report.text())
    if args.plot is not None:
        report.plot(args.plot)
        print(f"drawn in {args.plot}", file=sys.stderr)
    if report.left:
        print(f"stopped early: {report.left} rows not reached", file=sys.stderr)
    return INTERRUPTED if report.left else 0
