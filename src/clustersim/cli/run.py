"""`clustersim run`: simulate a scenario."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from clustersim.cli._arguments import (
    add_progress,
    add_scenario,
    add_set,
    load_with,
    output_folder,
    seed,
    terminal_width,
)
from clustersim.cli._exit_codes import INTERRUPTED
from clustersim.cli._progress import progress_bar
from clustersim.errors import CannotRunError, InputError

if TYPE_CHECKING:
    from clustersim.results import Result

HELP = "simulate a scenario and print a summary"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_scenario(parser)
    add_set(parser)
    parser.add_argument(
        "--seed", type=seed, metavar="N", help="seed of the run, in place of the scenario's own"
    )
    parser.add_argument(
        "--out",
        type=output_folder,
        metavar="DIR",
        help="keep resolved scenario, metrics, tables, pictures and trace there",
    )
    parser.add_argument(
        "--format", choices=("csv", "parquet"), default="csv", help="format of the tables in --out (csv)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the metrics as JSON in place of the summary"
    )
    parser.add_argument(
        "--rates",
        action="store_true",
        help="keep in --out, too, how fast every flow ran over time and what held it back",
    )
    add_progress(parser)


def execute(args: argparse.Namespace) -> int:
    """Run; a run that was stopped early prints and keeps what it has, and says so."""
    if args.format == "parquet" and find_spec("pyarrow") is None:
        raise InputError("Parquet needs pyarrow: pip install 'clustersim[parquet]', or --format csv")
    if args.rates and args.out is None:
        raise InputError("--rates are kept in a folder; say in which one with --out DIR")
    scenario = load_with(args.scenario, args.settings)
    from clustersim.study import runner

    with progress_bar(scenario.name, wanted=args.progress) as report:
        result = runner.run(scenario, seed=args.seed, progress=report, keep_rates=args.rates)
    print(result.to_json() if args.json else result.summary(width=terminal_width()))
    if args.out is not None:
        result.save(args.out, formats=(args.format,))
        print(f"kept in {args.out}", file=sys.stderr)
    return 0 if result.complete else _stopped(result)


def _stopped(result: Result) -> int:
    """Say that the result is partial; return the exit code."""
    print(f"partial result: {'; '.join(result.notes)}", file=sys.stderr)
    return INTERRUPTED if result.ending == "interrupted" else CannotRunError.exit_code
