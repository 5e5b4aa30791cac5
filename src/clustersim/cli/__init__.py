"""The command line: `clustersim run x.yaml`.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 a check failed,
2 bad input, 3 the simulated system cannot run, 70 a bug in clustersim, 130 stopped by
Ctrl-C, 141 the reader of stdout went away.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from clustersim.cli._exit_codes import BROKEN_PIPE, BUG, INTERRUPTED
from clustersim.cli._parser import make_parser, parse
from clustersim.errors import ClusterSimError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    argv
        Arguments after the program's name. Default: those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        args = parse(make_parser(), arguments)
        code = _execute(args)
        sys.stdout.flush()
        return code
    except SystemExit as end:  # argparse, after --help and --version
        return end.code if isinstance(end.code, int) else 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return _fail("stopped by Ctrl-C", INTERRUPTED, debug=debug)
    except ClusterSimError as error:
        return _fail(str(error), error.exit_code, debug=debug)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _fail(f"{name}{error.strerror or error}", ClusterSimError.exit_code, debug=debug)
    except Exception as error:
        hint = "this is a bug in clustersim; --debug shows where"
        return _fail(f"{type(error).__name__}: {error} ({hint})", BUG, debug=debug)


def _execute(args: argparse.Namespace) -> int:
    code: int = args.execute(args)
    return code


def _fail(message: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(message, file=sys.stderr)
    return code
