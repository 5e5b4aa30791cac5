"""`clustersim compare`: what changes if ...?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clustersim.cli._arguments import (
    add_progress,
    add_scenario,
    add_set,
    count,
    load_with,
    output_folder,
    parse_settings,
    parse_variant,
    terminal_width,
)
from clustersim.cli._progress import progress_bar
from clustersim.errors import CannotRunError, InputError

if TYPE_CHECKING:
    from clustersim.spec.scenario import Scenario

HELP = "run variants of a scenario over several seeds and print what changes"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_scenario(parser)
    parser.add_argument(
        "others", metavar="OTHER", nargs="*", help="further scenario files to compare with the first"
    )
    add_set(parser)
    parser.add_argument(
        "--variant",
        dest="variants",
        metavar="'LABEL: PATH=VALUE, …'",
        action="append",
        default=[],
        help="one more variant of the first scenario; may be repeated",
    )
    parser.add_argument(
        "--seeds", type=count, default=5, metavar="N", help="seeds that each variant runs with (5)"
    )
    parser.add_argument("--jobs", type=count, metavar="N", help="processes at once; by default one per core")
    parser.add_argument(
        "--out", type=output_folder, metavar="DIR", help="keep the comparison, its tables and picture there"
    )
    parser.add_argument(
        "--store",
        type=output_folder,
        metavar="DIR",
        help="keep each run there; the next time only what is missing runs",
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    add_progress(parser)


def execute(args: argparse.Namespace) -> int:
    """Compare; the first scenario as it stands is the baseline."""
    scenarios = _scenarios(args)
    from clustersim.study.compare import compare

    with progress_bar("compare", wanted=args.progress) as report:
        comparison = compare(scenarios, seeds=args.seeds, jobs=args.jobs, store=args.store, progress=report)
    print(comparison.to_json() if args.json else comparison.summary(width=terminal_width()))
    if args.out is not None:
        comparison.save(args.out)
        print(f"kept in {args.out}", file=sys.stderr)
    return CannotRunError.exit_code if comparison.failures else 0


def _scenarios(args: argparse.Namespace) -> dict[str, Scenario]:
    """Return the scenarios by label, the baseline first."""
    baseline = load_with(args.scenario, ())
    found = {"baseline": baseline}
    for other in args.others:
        _add(found, Path(other).stem, load_with(other, ()))
    if args.settings:
        _add(found, ", ".join(map(_short, args.settings)), baseline.with_(**parse_settings(args.settings)))
    for text in args.variants:
        label, changes = parse_variant(text)
        _add(found, label, baseline.with_(**changes))
    if len(found) == 1:
        raise InputError("nothing to compare with: give another scenario, --set or --variant")
    return found


def _add(found: dict[str, Scenario], label: str, scenario: Scenario) -> None:
    if label in found:
        raise InputError(f"two variants are called '{label}'; give them labels with --variant 'label: …'")
    found[label] = scenario


def _short(setting: str) -> str:
    """Return `bandwidth=800Gbit/s` for `cluster.fabric.bandwidth=800Gbit/s`."""
    path, _, value = setting.partition("=")
    return f"{path.strip().rpartition('.')[2]}={value.strip()}"
