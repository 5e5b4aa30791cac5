"""docs/scenario-reference.md, written from the spec models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from clustersim.spec._base import SpecModel
from clustersim.spec._models import item_type, kind_of, models_of, strip
from clustersim.spec.scenario import Scenario
from clustersim.units import DIMENSIONS, Dimension, Quantity, dimension_of, format_quantity

__all__ = ["FieldRow", "field_rows", "text"]

_INTRODUCTION = """\
# Scenario reference

Generated from the models in `src/clustersim/spec` by `clustersim.spec.reference`; every
field that a scenario file may have is here. `clustersim resolve FILE` prints a file with
every default explicit, `clustersim check FILE` says whether it can run, and
[schema/scenario.json](schema/scenario.json) lets an editor complete and check it:

```yaml
# yaml-language-server: $schema=../docs/schema/scenario.json
```

A file is YAML 1.2: `true` and `false` are the only booleans, a field given twice is an
error, anchors and aliases are allowed, merge keys (`<<`) are not. Paths of files are
relative to the scenario file. `cluster.topology` may be the path of a file that holds
what would stand there. A field whose default is "–" is required; "none" means that it may
be left out, or be `null`. `workloads[training]` stands for an item of `workloads` whose
`kind` is `training`.
"""

_UNITS = """\
## Quantities

A dimensioned value is a number with a unit, `400 Gbit/s`; a bare number is refused. Bits
and bytes are told apart by `bit` and `B`; `b` alone is refused. Prefixes are decimal (k, M,
G, T, P) or, for sizes and bandwidths, binary too (Ki, Mi, Gi, Ti, Pi).

| quantity | SI unit | units, for example |
|---|---|---|
"""


class FieldRow(NamedTuple):
    """One field as the reference shows it."""

    field: str
    type: str
    unit: str
    default: str
    description: str


class _Section(NamedTuple):
    model: type[SpecModel]
    places: list[str]


def text() -> str:
    """Return the whole page."""
    parts = [_INTRODUCTION, _UNITS + "".join(map(_unit_line, DIMENSIONS))]
    parts += [_section_text(section) for section in _sections()]
    return "\n".join(parts)


def field_rows(model: type[SpecModel]) -> list[FieldRow]:
    """Return the fields of a model as table rows."""
    return [
        FieldRow(
            name, _type(field), _unit(field), _default(field), _one_line(field.description or _about(field))
        )
        for name, field in model.model_fields.items()
    ]


def _sections() -> list[_Section]:
    """Every model once, in the order in which a reader meets it, with the places that it stands at."""
    found: dict[type[SpecModel], _Section] = {}
    for model, place in _walk(Scenario, ""):
        section = found.setdefault(model, _Section(model, []))
        if place not in section.places:
            section.places.append(place)
    return list(found.values())


def _walk(model: type[SpecModel], place: str) -> Iterator[tuple[type[SpecModel], str]]:
    """Yield every model under `model`, depth first, with the place that it stands at."""
    yield model, place
    for name, field in model.model_fields.items():
        inner = item_type(field.annotation)
        below = f"{place}.{name}".lstrip(".")
        for other in models_of(field.annotation if inner is None else inner):
            yield from _walk(other, below if inner is None else f"{below}[{kind_of(other) or ''}]")


def _section_text(section: _Section) -> str:
    model, places = section
    kind = kind_of(model)
    title = f"`{places[0]}`" if places[0] else "The file"
    title += f" of kind `{kind}`" if kind and not places[0].endswith("]") else ""
    lines = [f"## {title}", "", _one_line(model.__doc__ or "")]
    if len(places) > 1:
        lines += ["", f"Also at {', '.join(f'`{place}`' for place in places[1:])}."]
    lines += ["", "| field | type | unit | default | description |", "|---|---|---|---|---|"]
    lines += [f"| `{row.field}` | {' | '.join(map(_cell, row[1:]))} |" for row in field_rows(model)]
    return "\n".join(lines) + "\n"


def _unit_line(dimension: Dimension) -> str:
    return f"| {dimension.name} | {dimension.si} | {', '.join(f'`{unit}`' for unit in dimension.display)} |\n"


def _unit(field: FieldInfo) -> str:
    dimension = _dimension(field)
    return dimension.examples if dimension else ""


def _dimension(field: FieldInfo) -> Dimension | None:
    return next((one for one in map(dimension_of, _metadata(field)) if one is not None), None)


def _metadata(field: FieldInfo) -> list[Any]:
    """All annotations of a field, those within `… | None` included."""
    return [*field.metadata, *_inner_metadata(field.annotation)]


def _inner_metadata(annotation: Any) -> Iterator[Any]:
    for option in (annotation, *get_args(annotation)):
        if get_origin(option) is Annotated:
            for mark in get_args(option)[1:]:
                yield from mark.metadata if isinstance(mark, FieldInfo) else (mark,)


def _type(field: FieldInfo) -> str:
    dimension = _dimension(field)
    if dimension is not None:
        return dimension.name
    inner = item_type(field.annotation)
    if inner is not None:
        return f"list of {_plain_type(strip(inner), ())}"
    return _plain_type(strip(field.annotation), _metadata(field))


def _plain_type(plain: Any, metadata: Iterable[Any]) -> str:
    models = models_of(plain)
    if models:
        kinds = [kind for model in models if (kind := kind_of(model))]
        return "mapping" + (f" of kind {', '.join(f'`{kind}`' for kind in kinds)}" if kinds else "")
    if get_origin(plain) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(plain))
    names = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`"}
    return ", ".join([names[plain], *_bounds(metadata)])


def _bounds(metadata: Iterable[Any]) -> Iterator[str]:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    for mark in metadata:
        for name, sign in signs.items():
            if (bound := getattr(mark, name, None)) is not None:
                yield f"{sign} {bound:g}"
        if (step := getattr(mark, "multiple_of", None)) is not None:
            yield f"a multiple of {step}"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "–"
    if value is None:
        return "none"
    if isinstance(value, Quantity):
        return f"`{format_quantity(value, value.dimension)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, SpecModel):
        return "its defaults"
    return f"`{value}`" if str(value) not in ("", "()") else "empty"


def _about(field: FieldInfo) -> str:
    return "Decides which other fields there are." if get_origin(field.annotation) is Literal else ""


def _one_line(words: str) -> str:
    return re.sub(r"\s+", " ", words).strip()


def _cell(words: str) -> str:
    return words.replace("|", "\\|")
