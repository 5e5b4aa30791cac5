"""Changing a document by dotted paths: `cluster.fabric.bandwidth`, `workloads.chat.replicas`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from clustersim.errors import InputError, PathPart, Problem, did_you_mean
from clustersim.spec._models import choose, item_type, models_of

__all__ = ["apply", "plain", "put"]

_PATH = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[\d+\])*")
_PART = re.compile(r"[^.\[\]]+")


def apply(model: Any, data: Any, changes: Mapping[str, Any]) -> tuple[Any, list[tuple[PathPart, ...]]]:
    """Put new values into plain data.

    Parameters
    ----------
    model
        The spec model that `data` is checked against.
    data
        Mappings, lists and scalars; not changed.
    changes
        Value by dotted path. A list item is named by its index (`workloads[0]` or
        `workloads.0`) or by its `name` (`workloads.chat`). Groups of fields that the data
        leaves out are made on the way.

    Returns
    -------
    The new data, and the path of each change with indices in place of names.

    Raises
    ------
    InputError
        With one problem for each path that leads nowhere.
    """
    problems: list[Problem] = []
    paths: list[tuple[PathPart, ...]] = []
    for text, value in changes.items():
        try:
            path = _resolve(model, data, _split(text))
        except InputError as error:
            problems.extend(error.problems)
        else:
            data = put(data, path, plain(value))
            paths.append(path)
    if problems:
        raise InputError(problems)
    return data, paths


def plain(value: Any) -> Any:
    """Return `value` with spec models as mappings and tuples as lists."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _split(text: str) -> list[str]:
    if not _PATH.fullmatch(text):
        raise InputError(
            f"'{text}' is no path; write it as in 'cluster.fabric.bandwidth' or 'workloads[0].gpus'"
        )
    return _PART.findall(text)


def _resolve(model: Any, data: Any, parts: Sequence[str]) -> tuple[PathPart, ...]:
    """Follow `parts` through the models, and through the data where a kind or a name decides."""
    path: list[PathPart] = []
    here = model
    for part in parts:
        if item_type(here) is not None:
            index = _index(part, data if isinstance(data, list) else [], tuple(path))
            path.append(index)
            here, data = item_type(here), data[index]
            continue
        here = _field(part, here, data, tuple(path))
        path.append(part)
        data = data.get(part) if isinstance(data, dict) else None
    return tuple(path)


def _field(part: str, annotation: Any, data: Any, path: tuple[PathPart, ...]) -> Any:
    """Return the annotation of field `part` of what `annotation` allows here."""
    if not models_of(annotation):
        raise InputError(Problem((*path, part), "there are no fields in this one"))
    model = choose(annotation, data)
    if model is None:
        raise InputError(Problem((*path, part), f"set the whole of '{path[-1]}' with its 'kind' first"))
    field = model.model_fields.get(part)
    if field is None:
        raise InputError(Problem((*path, part), f"unknown field.{did_you_mean(part, model.model_fields)}"))
    return field.annotation


def _index(part: str, items: Sequence[Any], path: tuple[PathPart, ...]) -> int:
    names = [item["name"] for item in items if isinstance(item, dict) and isinstance(item.get("name"), str)]
    for index, item in enumerate(items):
        if isinstance(item, dict) and item.get("name") == part:
            return index
    if part.isdecimal() and int(part) < len(items):
        return int(part)
    if part.isdecimal():
        raise InputError(Problem((*path, int(part)), f"there are {len(items)} items, counted from 0"))
    raise InputError(Problem((*path, part), f"there is nothing of that name.{did_you_mean(part, names)}"))


def put(data: Any, path: Sequence[PathPart], value: Any) -> Any:
    """Return a copy of `data` with `value` at `path`."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(first, int):
        return [put(item, rest, value) if index == first else item for index, item in enumerate(data)]
    fields = data if isinstance(data, dict) else {}
    return {**fields, first: put(fields.get(first), rest, value)}
