"""Communicator groups: which ranks a collective of a trace is of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from clustersim.errors import InputError, Problem

__all__ = ["Groups", "read_groups", "write_groups"]

Groups = Mapping[str, tuple[int, ...]]
"""Ranks of each group by its number, as nodes name it in `pg_name`."""


def read_groups(path: Path, *, ranks: int) -> Groups:
    """Read a file of groups: `{"1": [0, 1], "2": [2, 3]}`.

    Parameters
    ----------
    ranks
        How many ranks there are.

    Raises
    ------
    InputError
        For a file that cannot be read, that holds something else, or that names a rank that does not exist.

    **Source:** astra-sim, astra-sim/workload/Workload.cc, `initialize_comm_groups`.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(Problem(("groups",), f"'{path}' cannot be read: {error.strerror}")) from None
    except ValueError as error:
        raise InputError(Problem(("groups",), f"'{path.name}' is no JSON: {error}")) from None
    if not isinstance(data, dict):
        raise InputError(
            Problem(("groups",), f"'{path.name}' should map numbers of groups to lists of ranks")
        )
    return {name: _members(path.name, name, members, ranks) for name, members in data.items()}


def _members(file: str, name: str, members: object, ranks: int) -> tuple[int, ...]:
    whole = isinstance(members, list) and all(type(rank) is int for rank in members)
    if not whole or not isinstance(members, list) or not members or len(set(members)) < len(members):
        message = f"group '{name}' of '{file}' should be a list of ranks, each once; it is {members}"
        raise InputError(Problem(("groups",), message))
    strangers = [rank for rank in members if not 0 <= rank < ranks]
    if strangers:
        message = f"group '{name}' of '{file}' has rank {strangers[0]}; there are ranks 0 to {ranks - 1}"
        raise InputError(Problem(("groups",), message))
    return tuple(members)


def write_groups(path: Path, groups: Groups) -> None:
    """Write a file of groups."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(list(ranks))}" for name, ranks in groups.items())
    path.write_text(f"{{\n{lines}\n}}\n" if lines else "{}\n", encoding="utf-8")
