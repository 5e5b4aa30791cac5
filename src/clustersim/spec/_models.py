"""Looking into the spec models: what a field may hold, by its annotation."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from clustersim.errors import PathPart
from clustersim.spec._base import SpecModel

__all__ = ["by_kind", "choose", "item_type", "kind_of", "model_at", "models_of", "strip"]


def strip(annotation: Any) -> Any:
    """Return the annotation without `Annotated[…]` around it and without `| None`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return strip(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(annotation) if option is not type(None)]
        if len(options) == 1:
            return strip(options[0])
    return annotation


def item_type(annotation: Any) -> Any:
    """Return what a list field holds, or None for a field that is no list."""
    plain = strip(annotation)
    return get_args(plain)[0] if get_origin(plain) is tuple else None


def models_of(annotation: Any) -> tuple[type[SpecModel], ...]:
    """Return the models that a field may hold: several where `kind` decides, none for scalars and lists."""
    plain = strip(annotation)
    if isinstance(plain, type) and issubclass(plain, SpecModel):
        return (plain,)
    if get_origin(plain) in (Union, types.UnionType):
        return tuple(model for option in get_args(plain) for model in models_of(option))
    return ()


def kind_of(model: type[SpecModel]) -> str | None:
    """Return the value of `kind` that stands for this model, or None where it has none."""
    field = model.model_fields.get("kind")
    if field is None or get_origin(field.annotation) is not Literal:
        return None
    return str(get_args(field.annotation)[0])


def by_kind(annotation: Any) -> dict[str, type[SpecModel]]:
    """Return the models of a union by their `kind`."""
    return {kind: model for model in models_of(annotation) if (kind := kind_of(model)) is not None}


def choose(annotation: Any, data: Any) -> type[SpecModel] | None:
    """Return the model that `data` is meant to be: the only one, or the one that its `kind` names."""
    models = models_of(annotation)
    if len(models) == 1:
        return models[0]
    kind = data.get("kind") if isinstance(data, dict) else None
    return by_kind(annotation).get(kind) if isinstance(kind, str) else None


def model_at(root: Any, location: tuple[PathPart, ...]) -> tuple[tuple[PathPart, ...], Any]:
    """Translate a location of pydantic's into a document path.

    Pydantic puts the tag of a discriminated union into its locations
    (`("workloads", 0, "training", "gpus")`); documents have no such part.

    Returns
    -------
    The document path, and the annotation of what stands there (None beyond the models).
    """
    path: list[PathPart] = []
    here = root
    for part in location:
        if isinstance(part, int):
            path.append(part)
            here = item_type(here)
            continue
        tagged = by_kind(here) if len(models_of(here)) > 1 else {}
        if part in tagged:
            here = tagged[part]
            continue
        path.append(part)
        models = models_of(here)
        field = models[0].model_fields.get(part) if len(models) == 1 else None
        here = field.annotation if field is not None else None
    return tuple(path), here
