"""The scenarios and topologies that come with the library."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from clustersim.errors import InputError, Problem

__all__ = ["find", "folder", "names"]

_KINDS = ("scenarios", "topologies")
_SHORTEST_HINT = 3
_SUFFIXES = (".yaml", ".yml")


def folder(kind: str) -> Path | None:
    """Return the folder of shipped files of one kind (`scenarios` or `topologies`).

    In an installed wheel it lies inside the package, in the source tree beside `src`.
    None where neither is there.
    """
    package = Path(__file__).parents[1]
    for candidate in (package / "_shipped" / kind, package.parents[1] / kind):
        if candidate.is_dir():
            return candidate
    return None


def names(kind: str) -> tuple[str, ...]:
    """Return the shipped files of one kind as `find` takes them: `scenarios/x.yaml`."""
    root = folder(kind)
    if root is None:
        return ()
    found = (path.relative_to(root) for path in root.rglob("*") if path.suffix in _SUFFIXES)
    return tuple(sorted(f"{kind}/{path.as_posix()}" for path in found))


def find(path: Path | str, *, kind: str = "scenarios") -> Path:
    """Return the file that `path` names: in the working folder, else among the shipped ones.

    A shipped file is named as in the source tree, `scenarios/x.yaml`. `kind` says which
    shipped files an error lists.

    Raises
    ------
    InputError
        If there is none; names the nearest shipped file.
    """
    given = Path(path)
    if given.exists():
        return given
    root = folder(given.parts[0]) if given.parts and given.parts[0] in _KINDS else None
    if root is not None and (shipped := root.joinpath(*given.parts[1:])).is_file():
        return shipped
    raise InputError(Problem((), f"no such file.{_nearest(given, kind)}", file=str(path)))


def _nearest(given: Path, kind: str) -> str:
    """Name the shipped file whose name is nearest, or holds what was given; else all of a kind."""
    stems = {Path(name).stem: name for each in _KINDS for name in names(each)}
    close = get_close_matches(given.stem, stems, n=1) or [stem for stem in stems if given.stem in stem]
    if close and len(given.stem) >= _SHORTEST_HINT:
        return f" Did you mean '{stems[close[0]]}'?"
    return f" Shipped: {', '.join(names(kind))}." if names(kind) else ""
