"""`clustersim schema`: JSON Schema of scenario and topology files."""

from __future__ import annotations

import argparse
from pathlib import Path

from clustersim.cli._arguments import output_folder

HELP = "print the JSON Schema of scenario files, or write all schemas to a folder"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--write", type=output_folder, metavar="DIR", help="write scenario.json and topology.json"
    )


def execute(args: argparse.Namespace) -> int:
    """Print or write."""
    from clustersim.spec import schema

    texts = schema.texts()
    if args.write is None:
        print(texts["scenario.json"], end="")
        return 0
    folder: Path = args.write
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
        print(folder / name)
    return 0
