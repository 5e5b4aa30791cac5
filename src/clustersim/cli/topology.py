"""`clustersim topology show`: counts, bisection and oversubscription of a cluster."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from clustersim.errors import InputError

HELP = "show the counts, bisection and oversubscription of a topology, and draw it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("action", choices=("show",), metavar="show", help="what to do")
    parser.add_argument("file", metavar="FILE", help="topology file or scenario file")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it (PNG or SVG)")


def execute(args: argparse.Namespace) -> int:
    """Print the description, and draw where asked to."""
    from clustersim import topology
    from clustersim.spec.load import load_cluster

    file = load_cluster(args.file)
    try:
        built = topology.build(file.cluster, base=file.base_dir)
    except InputError as error:
        raise file.locate_all(error) from None
    print(topology.describe(built))
    if args.plot is not None:
        topology.draw(built, args.plot)
        print(f"drawn in {args.plot}", file=sys.stderr)
    return 0
