"""`clustersim check`: can the scenario run?"""

from __future__ import annotations

import argparse

from clustersim.cli._arguments import add_scenario, add_set, load_with

HELP = "say whether a scenario can run, without running it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_scenario(parser)
    add_set(parser)


def execute(args: argparse.Namespace) -> int:
    """Print what the scenario was found to be."""
    scenario = load_with(args.scenario, args.settings)
    from clustersim.study import prepare

    print(prepare.check(scenario).text())
    return 0
