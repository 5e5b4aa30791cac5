"""A catalogue entry as text: one line per field, with unit and source."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from clustersim.catalog._store import Source
from clustersim.units import BANDWIDTH, FLOP_RATE, POWER, PRICE, RATE, SIZE, TIME, Dimension, format_quantity

__all__ = ["describe_entry", "overview"]

_HIDDEN = ("name", "sources", "speed")
_PLAIN = (bool, int, float, str, type(None))
_COUNTED = (
    "parameters",
    "active_parameters",
    "layer_parameters",
    "embedding_parameters",
    "dense_parameters",
    "lookups_per_sample",
    "pooled_elements",
    "interaction_width",
    "flops_per_sample",
    "kv_elements_per_token",
    "flops_forward",
)
_SUFFIXES: tuple[tuple[str, Dimension], ...] = (
    ("_bytes_per_s", BANDWIDTH),
    ("_bytes", SIZE),
    ("peak_flops", FLOP_RATE),
    ("product_flops", FLOP_RATE),
    ("usd_per_s", PRICE),
    ("_per_s", RATE),
    ("_s", TIME),
    ("_w", POWER),
)


def describe_entry(entry: Any, *, kind: str, aliases: list[str]) -> str:
    """Return `entry` as text; its class is a frozen dataclass with `name` and `sources`.

    Sources are numbered and listed once, below the fields.
    """
    rows = list(_rows(entry))
    cited = dict.fromkeys(source for _, _, source in rows if source)
    numbers = {source: f"[{index}]" for index, source in enumerate(cited, 1)}
    width = max(len(label) for label, _, _ in rows)
    value_width = min(40, max(len(value) for _, value, _ in rows))
    lines = [f"{kind} {entry.name}"]
    lines += [f"  also called {', '.join(aliases)}"] if aliases else []
    for label, value, source in rows:
        lines.append(f"  {label:<{width}}  {value:<{value_width}}  {numbers.get(source, '')}".rstrip())
    lines.append("  sources")
    lines += [f"    {number} {source}" for source, number in numbers.items()]
    return "\n".join(lines)


def overview(entries: Iterable[Any], columns: Mapping[str, Callable[[Any], str]]) -> str:
    """Return a table with a row for each entry; the first column is text, the others are numbers."""
    cells = [list(columns), *([text(entry) for text in columns.values()] for entry in entries)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in cells
    )


def _rows(entry: Any) -> Iterator[tuple[str, str, str]]:
    for spec in fields(entry):
        value = getattr(entry, spec.name)
        if spec.name in _HIDDEN or value is None or (isinstance(value, tuple) and not value):
            continue
        source = _source_text(entry.sources, spec.name)
        for label, text in _values(spec.name, value):
            yield label, text, source
    for name in _COUNTED:
        if hasattr(entry, name):
            yield name, _text(name, getattr(entry, name)), "counted from the shape"


def _source_text(sources: Mapping[str, Source], name: str) -> str:
    """Return the source of a field: the longest key that its name begins with, else `all`."""
    keys = [key for key in sources if name == key or name.startswith(f"{key}_")]
    source = sources[max(keys, key=len)] if keys else sources.get("all")
    return str(source) if source else ""


def _values(label: str, value: Any, *, name: str = "") -> Iterator[tuple[str, str]]:
    """Label and text of a field; of its parts where it is a mapping or a record."""
    name = name or label
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _values(f"{label}.{key}", part, name=name)
    elif is_dataclass(value):
        for spec in fields(value):
            part = getattr(value, spec.name)
            if part is not None and spec.name not in _HIDDEN and part != spec.default:
                yield from _values(f"{label}.{spec.name}", part, name=spec.name)
    elif isinstance(value, tuple) and value and all(map(is_dataclass, value)):
        yield label, str(len(value))
        for spec in fields(value[0]):
            parts = [getattr(each, spec.name) for each in value]
            plain = all(isinstance(part, _PLAIN) for part in parts)
            if plain and spec.name not in _HIDDEN and any(part != spec.default for part in parts):
                yield f"{label}.{spec.name}", _range(spec.name, parts)
    else:
        yield label, _text(name, value)


def _range(name: str, values: list[Any]) -> str:
    """Write the values of one field of several records: from least to most, or each that occurs."""
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        least, most = _text(name, min(values)), _text(name, max(values))
        return least if least == most else f"{least} to {most}"
    return ", ".join(dict.fromkeys("none" if value is None else _text(name, value) for value in values))


def _text(name: str, value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.size} values, {value.min():g} to {value.max():g}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) if len(value) <= 8 else f"{len(value)} entries"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if name == "flops_forward":
        return f"{value / 1e9:.4g} GFLOP"
    if name in ("flops_per_sample", "published_flops"):
        return f"{value / 1e9:.4g} GFLOP" if value >= 1e9 else f"{value / 1e6:.4g} MFLOP"
    if name.endswith("bandwidth_bytes_per_s") and name.startswith(("memory", "scale_up")):
        return f"{value / 1e9:g} GB/s"
    for suffix, dimension in _SUFFIXES:
        if name.endswith(suffix) and math.isfinite(value):
            return format_quantity(float(value), dimension)
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:g}"
