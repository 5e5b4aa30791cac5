"""Arguments that several subcommands share."""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.errors import InputError

if TYPE_CHECKING:
    from clustersim.spec.scenario import Scenario

__all__ = [
    "add_progress",
    "add_scenario",
    "add_set",
    "count",
    "load_with",
    "output_folder",
    "parse_settings",
    "parse_variant",
    "picture_file",
    "seed",
    "terminal_width",
]

_NARROWEST, _WIDEST = 80, 100
_PICTURES = (".png", ".svg", ".pdf")
_NEXT_SETTING = re.compile(r",\s*(?=[A-Za-z_][\w.\[\]-]*=)")


def add_scenario(parser: argparse.ArgumentParser) -> None:
    """Add the scenario file."""
    parser.add_argument(
        "scenario", metavar="SCENARIO", help="scenario file, or a shipped one: scenarios/NAME.yaml"
    )


def add_set(parser: argparse.ArgumentParser) -> None:
    """Add `--set path=value`."""
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="change a field, e.g. workloads.chat.replicas=4; may be repeated",
    )


def add_progress(parser: argparse.ArgumentParser) -> None:
    """Add `--progress` and `--no-progress`."""
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="progress bar on stderr; by default where stderr is a terminal",
    )


def load_with(path: str, settings: Sequence[str]) -> Scenario:
    """Load a scenario and apply `--set` options to it."""
    from clustersim.spec.load import load

    scenario = load(path)
    return scenario.with_(**parse_settings(settings)) if settings else scenario


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Read `path=value` texts; a value is what it would be in a scenario file.

    Raises
    ------
    InputError
        For a text without `=`, and for a value that is no YAML.
    """
    from clustersim.spec.yaml_io import parse_value

    changes: dict[str, Any] = {}
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not equals or not path.strip():
            raise InputError(f"'{setting}' is not PATH=VALUE, as in cluster.fabric.bandwidth=800Gbit/s")
        changes[path.strip()] = parse_value(value)
    return changes


def parse_variant(text: str) -> tuple[str, dict[str, Any]]:
    """Read `label: path=value, path=value`.

    Raises
    ------
    InputError
        For a text without label or settings.
    """
    label, colon, settings = text.partition(":")
    if not colon or not label.strip() or not settings.strip() or "=" in label:
        raise InputError(f"'{text}' is not 'label: path=value, path=value'")
    return label.strip(), parse_settings(_NEXT_SETTING.split(settings.strip()))


def output_folder(text: str) -> Path:
    """Check, before anything runs, that `text` can be a folder to write to (an argparse type)."""
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"'{text}' is a file, a folder is due")
    return path


def picture_file(text: str) -> Path:
    """Check, before anything runs, that `text` can be a picture to write (an argparse type)."""
    path = Path(text)
    if path.suffix.lower() not in _PICTURES:
        raise argparse.ArgumentTypeError(
            f"'{text}' should end in {', '.join(_PICTURES[:-1])} or {_PICTURES[-1]}"
        )
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder '{path.parent}'")
    return path


def terminal_width() -> int:
    """Return the columns that tables may take: those of the terminal, from 80 to 100; 100 without one."""
    columns = shutil.get_terminal_size(fallback=(_WIDEST, 24)).columns
    return min(max(columns, _NARROWEST), _WIDEST)


def count(text: str) -> int:
    """Read a whole number from 1 (an argparse type)."""
    return _whole(text, least=1)


def seed(text: str) -> int:
    """Read a whole number from 0 (an argparse type)."""
    return _whole(text, least=0)


def _whole(text: str, *, least: int) -> int:
    if not re.fullmatch(r"\d{1,18}", text) or int(text) < least:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least}")
    return int(text)
