"""`clustersim validate`: predictions beside published measurements."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from clustersim.cli._arguments import add_progress, picture_file
from clustersim.cli._exit_codes import INTERRUPTED
from clustersim.cli._progress import progress_bar
from clustersim.errors import InputError, did_you_mean

HELP = "print predictions beside published measurements, with the error"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="which validation; without it they are listed"
    )
    parser.add_argument(
        "--table",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="your own rows, in the columns of the shipped table; of kernels also a folder of public tables",
    )
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
    print(report.to_json() if args.json else report.to_csv().rstrip() if args.csv else report.text())
    if args.plot is not None:
        report.plot(args.plot)
        print(f"drawn in {args.plot}", file=sys.stderr)
    if report.left:
        print(f"stopped early: {report.left} rows not reached", file=sys.stderr)
    return INTERRUPTED if report.left else 0
