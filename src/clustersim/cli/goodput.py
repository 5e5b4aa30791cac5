"""`clustersim goodput`: days of a training job with failures and checkpoints."""

from __future__ import annotations

import argparse
import sys

from clustersim.cli._arguments import (
    add_progress,
    add_scenario,
    add_set,
    count,
    load_with,
    output_folder,
    terminal_width,
)
from clustersim.cli._progress import progress_bar
from clustersim.errors import InputError

HELP = "simulate days of a training job with failures, checkpoints, restarts and spare nodes"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_scenario(parser)
    add_set(parser)
    parser.add_argument("--days", type=_days, default=30.0, metavar="N", help="length of the period (30)")
    parser.add_argument(
        "--seeds", type=count, default=10, metavar="N", help="periods, each with failures of its own (10)"
    )
    parser.add_argument(
        "--workload", metavar="NAME", help="which training job, where the scenario has several"
    )
    parser.add_argument(
        "--iteration-time",
        type=_iteration_s,
        metavar="TIME",
        help="time of an iteration, e.g. 4.6s, where it is known; by default it is simulated",
    )
    parser.add_argument(
        "--no-sweep",
        dest="sweep",
        action="store_false",
        help="do not look for the best interval between checkpoints",
    )
    parser.add_argument(
        "--out", type=output_folder, metavar="DIR", help="keep tables (CSV), JSON and pictures there"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the summary")
    add_progress(parser)


def execute(args: argparse.Namespace) -> int:
    """Simulate, print, keep."""
    scenario = load_with(args.scenario, args.settings)
    from clustersim.study.goodput import goodput

    with progress_bar(f"{args.days:g} days", wanted=args.progress) as report:
        study = goodput(
            scenario,
            days=args.days,
            seeds=args.seeds,
            workload=args.workload,
            iteration_s=args.iteration_time,
            sweep=args.sweep,
            progress=report,
        )
    print(study.to_json() if args.json else study.summary(width=terminal_width()))
    if args.out is not None:
        study.save(args.out)
        print(f"kept in {args.out}", file=sys.stderr)
    return 0


def _days(text: str) -> float:
    """Read a positive number of days (an argparse type)."""
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0.0 < days <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of days, above 0 and up to {_MOST_DAYS}")
    return days


def _iteration_s(text: str) -> float:
    """Read a time with its unit (an argparse type)."""
    from clustersim.units import TIME, parse_quantity

    try:
        seconds = parse_quantity(text, TIME)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 0.0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is no time that an iteration can take")
    return seconds


_MOST_DAYS = 100_000
