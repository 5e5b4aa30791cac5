"""Which solver: the interpreted one, or the compiled one where numba is installed."""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec

from clustersim.errors import InputError, did_you_mean

__all__ = ["SOLVERS", "compiled_replay", "installed", "loaded", "solver_of", "usable"]

SOLVERS = ("auto", "python", "compiled")
_VARIABLE = "CLUSTERSIM_SOLVER"
_KERNEL = "clustersim.engine.fabric.compiled.kernel"
_ROWS = 1000
"""A table with so many flows is worth loading the compiled code for: interpreted, it takes from a
tenth of a second to some seconds (assumed)."""


def solver_of(solver: str) -> str:
    """Return the solver that is meant: `auto` is what the variable CLUSTERSIM_SOLVER says, if it is set.

    Raises
    ------
    InputError
        For an unknown solver, or the compiled one where numba cannot be used.
    """
    where = "solver"
    if solver == "auto" and _VARIABLE in os.environ:
        solver, where = os.environ[_VARIABLE], _VARIABLE
    if solver not in SOLVERS:
        raise InputError(
            f"{where} must be one of {', '.join(SOLVERS)}, got {solver!r}.{did_you_mean(solver, SOLVERS)}"
        )
    if solver == "compiled" and not usable():
        raise InputError(f"{where} 'compiled' needs numba, which is missing: pip install 'clustersim[fast]'")
    return solver


def compiled_replay(solver: str, *, rows: int) -> bool:
    """Whether a table of so many flows is replayed in compiled code."""
    solver = solver_of(solver)
    return solver == "compiled" or (solver == "auto" and (loaded() or rows >= _ROWS) and usable())


@cache
def installed() -> bool:
    """Whether numba is there to be imported."""
    return find_spec("numba") is not None


@cache
def usable() -> bool:
    """Whether the compiled code can be loaded; loads numba where it is installed."""
    if not installed():
        return False
    try:
        import_module(_KERNEL)
    except ImportError:  # numba refuses a numpy that is newer than it knows
        return False
    return True


def loaded() -> bool:
    """Whether this process has the compiled code already."""
    return _KERNEL in sys.modules
