"""The argument parser: one subcommand per module, errors as one sentence with "did you mean"."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import NoReturn

from clustersim.cli import (
    calibrate,
    capacity,
    catalog,
    chakra,
    check,
    compare,
    explain,
    goodput,
    plan,
    radar,
    resolve,
    run,
    schema,
    topology,
    validate,
)
from clustersim.errors import InputError, did_you_mean

__all__ = ["COMMANDS", "Parser", "make_parser", "parse"]

COMMANDS: Mapping[str, ModuleType] = {
    "run": run,
    "compare": compare,
    "plan": plan,
    "explain": explain,
    "goodput": goodput,
    "check": check,
    "resolve": resolve,
    "topology": topology,
    "catalog": catalog,
    "validate": validate,
    "calibrate": calibrate,
    "capacity": capacity,
    "radar": radar,
    "chakra": chakra,
    "schema": schema,
}
"""Module of each subcommand: `HELP`, `configure(parser)`, `execute(args) -> int`."""


class Parser(argparse.ArgumentParser):
    """Raises `InputError` in place of printing and leaving."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        raise InputError(f"{self.prog}: {message}; see '{self.prog} --help'")

    def options(self) -> list[str]:
        """Return the long options that this parser takes."""
        return [name for action in self._actions for name in action.option_strings if name.startswith("--")]


def make_parser() -> Parser:
    """Build the parser of the whole command line."""
    parser = Parser(
        prog="clustersim",
        description="Simulate AI clusters: training and inference that meet on one network.",
        epilog="Try: clustersim run scenarios/ddp-and-chat-on-one-fabric.yaml\n\n"
        "Exit codes: 0 done, 1 a check failed, 2 bad input, 3 the simulated system cannot run.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and leave")
    _add_debug(parser)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", parser_class=Parser)
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.HELP, allow_abbrev=False)
        _add_debug(command)
        module.configure(command)
        command.set_defaults(execute=module.execute, parser=command)
    parser.set_defaults(execute=None, parser=parser)
    return parser


def parse(parser: Parser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments.

    Raises
    ------
    InputError
        For an unknown subcommand or option, naming the nearest, and for whatever else
        argparse refuses.
    """
    first = next((argument for argument in arguments if not argument.startswith("-")), None)
    if first is not None and first not in COMMANDS:
        raise InputError(f"clustersim: unknown command '{first}'.{did_you_mean(first, COMMANDS)}")
    args, extra = parser.parse_known_args(arguments)
    if extra:
        known = args.parser
        option = extra[0].partition("=")[0]
        if option.startswith("-"):
            raise InputError(
                f"{known.prog}: unknown option '{option}'.{did_you_mean(option, known.options())}"
            )
        raise InputError(f"{known.prog}: unexpected argument '{extra[0]}'; see '{known.prog} --help'")
    if args.execute is None:
        raise InputError(f"clustersim: which command?\n\n{parser.format_help().rstrip()}")
    return args


def _add_debug(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show where in the program an error came from",
    )


class _Version(argparse.Action):
    """Prints the version; looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        from importlib.metadata import version

        print(f"clustersim {version('clustersim')}")
        parser.exit()
