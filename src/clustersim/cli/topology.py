"""`clustersim topology show`: counts, bisection, paths and all-to-all of a cluster."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from clustersim.cli._arguments import picture_file
from clustersim.errors import InputError

HELP = "show the counts, bisection, oversubscription and all-to-all of a topology, and draw it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("action", choices=("show",), metavar="show", help="the word 'show'")
    parser.add_argument(
        "file", metavar="FILE", help="topology or scenario file, or a shipped one: topologies/NAME.yaml"
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON in place of the text; rates in B/s, times in s"
    )
    parser.add_argument("--plot", type=picture_file, metavar="FILE", help="draw it (PNG, SVG or PDF)")


def execute(args: argparse.Namespace) -> int:
    """Print the description, and draw where asked to."""
    from clustersim import topology
    from clustersim.spec.load import load_cluster

    file = load_cluster(args.file)
    try:
        built = topology.build(file.cluster, base=file.base_dir)
    except InputError as error:
        raise file.locate_all(error) from None
    summary = topology.describe(built)
    print(json.dumps(asdict(summary), indent=1) if args.json else summary)
    if args.plot is not None:
        topology.draw(built, args.plot)
        print(f"drawn in {args.plot}", file=sys.stderr)
    return 0
