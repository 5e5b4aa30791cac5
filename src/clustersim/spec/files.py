"""The files that a scenario refers to: topology files, traces, graphs, model configurations."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clustersim.errors import InputError, PathPart, Problem
from clustersim.spec import edit, yaml_io
from clustersim.spec._base import FileReference, SpecModel
from clustersim.spec._places import Place

__all__ = ["Inlined", "digested", "inline_topology", "numbered_files", "rebased", "references"]

TOPOLOGY = ("cluster", "topology")


class Inlined(NamedTuple):
    """A scenario's data with its topology file put in."""

    data: Any
    place: Place
    problems: tuple[Problem, ...]


def inline_topology(data: Any, place: Place, folders: Sequence[Path]) -> Inlined:
    """Replace `cluster.topology: path.yaml` by what the file holds, positions included.

    The file is looked for in `folders`, in their order. Paths of files in it are relative to
    the topology file, and are rewritten relative to the first folder.
    """
    cluster = data.get("cluster") if isinstance(data, dict) else None
    name = cluster.get("topology") if isinstance(cluster, dict) else None
    if not isinstance(name, str) or not isinstance(cluster, dict):
        return Inlined(data, place, ())
    found = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if found is None:
        message = f"no such file: '{name}' (a topology file is looked for beside the scenario)"
        return Inlined(data, place, (Problem(TOPOLOGY, message),))
    label = os.path.normpath(Path(place.file or "").parent / name) if place.file else name
    try:
        document = yaml_io.read(found, label=label)
    except InputError as error:
        return Inlined(data, place, tuple(_inside(problem) for problem in error.problems))
    topology = _rebase_paths(document.data, found.parent, folders[0])
    problems = tuple(_inside(problem) for problem in document.problems)
    merged = {**data, "cluster": {**cluster, "topology": topology}}
    return Inlined(merged, place.put(TOPOLOGY, document.place), problems)


def _inside(problem: Problem) -> Problem:
    return Problem(TOPOLOGY + problem.path, problem.message, problem.file, problem.line, problem.column)


def _rebase_paths(topology: Any, folder: Path, base: Path) -> Any:
    """Return a topology, or part of one, whose paths of files lead from `base` instead of `folder`."""
    if isinstance(topology, list):
        return [_rebase_paths(item, folder, base) for item in topology]
    if not isinstance(topology, dict) or folder.resolve() == base.resolve():
        return topology
    moved = {key: _rebase_paths(value, folder, base) for key, value in topology.items()}
    for key, value in topology.items():
        names_file = key == "path" or (key == "node" and str(value).endswith(".xml"))
        if names_file and isinstance(value, str) and not Path(value).is_absolute():
            moved[key] = Path(os.path.relpath(folder / value, base)).as_posix()
    return moved


def references(
    model: SpecModel, *, at: tuple[PathPart, ...] = ()
) -> Iterator[tuple[tuple[PathPart, ...], str, FileReference]]:
    """Yield path, text and mark of each field that may name an input file."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, SpecModel):
            yield from references(value, at=(*at, name))
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, SpecModel):
                    yield from references(item, at=(*at, name, index))
        elif isinstance(value, str):
            yield from (
                ((*at, name), value, mark) for mark in field.metadata if isinstance(mark, FileReference)
            )


def _input_file(text: str, mark: FileReference, base: Path) -> Path | None:
    """Return the file that a field names; None where it is a name of the catalogue."""
    path = base / text
    if not mark.in_folder:
        return path
    if path.is_dir():
        path = path / mark.in_folder
        return path if path.is_file() else None
    return path if path.suffix in (Path(mark.in_folder).suffix, *mark.suffixes) else None


def numbered_files(path: Path, suffix: str) -> dict[int, Path]:
    """Return the files `PATH.N` + `suffix` by their numbers; `path` may be the folder that holds them.

    Raises
    ------
    InputError
        For a folder with files of several names.
    """
    whole = path.is_dir()
    folder = path if whole else path.parent
    pattern = re.compile(rf"(.*)\.(\d+){re.escape(suffix)}")
    found: dict[str, dict[int, Path]] = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = pattern.fullmatch(file.name)
        if match and (whole or match[1] == path.name):
            found.setdefault(match[1], {})[int(match[2])] = file
    if len(found) > 1:
        names = ", ".join(found)
        raise InputError(f"'{path}' holds files of several names: {names}; give the folder and one of them")
    return next(iter(found.values()), {})


def rebased(model: SpecModel, data: Any, *, base: Path, folder: Path) -> Any:
    """Return `data` of a model with the paths of its input files as seen from `folder`."""
    for path, text, mark in references(model):
        if not Path(text).is_absolute() and _input_file(text, mark, base) is not None:
            data = edit.put(data, path, Path(os.path.relpath(base / text, folder)).as_posix())
    return data


def digested(model: SpecModel, data: Any, *, base: Path | None) -> Any:
    """Return `data` of a model with the SHA-256 of each input file in place of its path.

    Raises
    ------
    InputError
        With one problem for each file that cannot be read.
    """
    problems: list[Problem] = []
    for path, text, mark in references(model):
        source = _input_file(text, mark, base or Path())
        if source is None:
            continue
        try:
            data = edit.put(data, path, _digest(source, mark))
        except OSError as error:
            problems.append(Problem(path, f"'{text}' cannot be read: {error.strerror}"))
    if problems:
        raise InputError(problems)
    return data


def _digest(source: Path, mark: FileReference) -> str | dict[str, str]:
    """Return the SHA-256 of a file, or those of numbered files or of the files of a folder."""
    if mark.folder:
        files = sorted(file for file in source.iterdir() if file.name.endswith(mark.folder))
        return {file.name: _sha256(file) for file in files}
    if mark.numbered:
        numbered = numbered_files(source, mark.numbered)
        return {str(number): _sha256(numbered[number]) for number in sorted(numbered)}
    return _sha256(source)


def _sha256(source: Path) -> str:
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
