"""The scenarios and topologies that come with the library."""

from __future__ import annotations

from pathlib import Path

from clustersim.errors import InputError, Problem, did_you_mean

__all__ = ["find", "folder", "names"]

_KINDS = ("scenarios", "topologies")
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


def find(path: Path | str) -> Path:
    """Return the file that `path` names: in the working folder, else among the shipped ones.

    A shipped file is named as in the source tree, `scenarios/x.yaml`.

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
    known = [name for kind in _KINDS for name in names(kind)]
    raise InputError(Problem((), f"no such file.{did_you_mean(given.as_posix(), known)}", file=str(path)))
