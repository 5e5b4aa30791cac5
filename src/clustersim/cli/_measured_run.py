"""A measured run of a serving engine as an argument of `clustersim validate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from clustersim.cli._arguments import count, load_with
from clustersim.errors import InputError

if TYPE_CHECKING:
    from clustersim.study.validation import ValidationReport

__all__ = ["RUN_FILES", "add_run_arguments", "validate_run_file"]

RUN_FILES = (".json", ".jsonl", ".csv", ".csv.gz")
"""How names of files with measured runs end."""


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a measured run takes."""
    group = parser.add_argument_group("a measured run")
    group.add_argument(
        "--scenario", metavar="SCENARIO", help="the service that was measured; its requests are replaced"
    )
    group.add_argument("--service", metavar="NAME", help="which service, where the scenario has several")
    group.add_argument("--run", type=count, metavar="N", help="which line of a JSONL file, from 1")
    group.add_argument(
        "--rate", type=_rate, metavar="R", help="requests/s that were sent, or inf, where the file has none"
    )
    group.add_argument(
        "--concurrency", type=count, metavar="N", help="requests outstanding at once, likewise"
    )


def validate_run_file(args: argparse.Namespace) -> ValidationReport:
    """Simulate the requests of the file and compare."""
    from clustersim.study.validation.measured.measured_run import Sending
    from clustersim.study.validation.measured.reading import read_run
    from clustersim.study.validation.measured.replay import validate_run

    if args.scenario is None:
        raise InputError(f"{args.name}: a measured run needs '--scenario' with the service that was measured")
    given = args.rate is not None or args.concurrency is not None
    return validate_run(
        read_run(Path(args.name), run=args.run),
        load_with(args.scenario, ()),
        service=args.service,
        sending=Sending(rate_per_s=args.rate, concurrency=args.concurrency) if given else None,
    )


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not rate > 0.0:
        raise argparse.ArgumentTypeError(f"'{text}' is no rate; a positive number, or inf, is expected")
    return rate
