"""`clustersim catalog`: what the catalogue holds, with sources."""

from __future__ import annotations

import argparse

from clustersim.errors import InputError

HELP = "list the catalogue, or show one entry with its sources"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="an entry (h100-sxm5, dgx-h100), or a kind")
    parser.add_argument(
        "--kind",
        metavar="KIND",
        help="list only this kind: accelerators, links, node-types, models, lengths, client-mixtures, …",
    )


def execute(args: argparse.Namespace) -> int:
    """Print one entry, those of a kind, or the names of all."""
    from clustersim import catalog

    if args.kind is not None and args.name is not None:
        raise InputError("give a NAME or --kind, not both")
    if args.kind is not None:
        print("\n".join(catalog.names(args.kind)))
    else:
        print(catalog.describe(args.name))
    return 0
