"""`clustersim resolve`: the scenario with nothing left implicit."""

from __future__ import annotations

import argparse

from clustersim.cli._arguments import add_scenario, add_set, load_with

HELP = "print a scenario with every default explicit and its topology in place"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_scenario(parser)
    add_set(parser)


def execute(args: argparse.Namespace) -> int:
    """Print YAML."""
    print(load_with(args.scenario, args.settings).resolved_yaml(), end="")
    return 0
