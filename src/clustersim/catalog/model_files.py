"""Models of one's own: read from YAML or CSV files, and written from Python objects."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from clustersim.catalog._store import Source
from clustersim.catalog.layer_tables import LayerTableModel, TableLayer
from clustersim.catalog.models import MlaConfig, MoeConfig, TransformerModel
from clustersim.errors import InputError, Problem
from clustersim.spec import yaml_io
from clustersim.spec._places import Place
from clustersim.spec.model_file import LayerRowSpec, ModelFileSpec, TransformerSpec
from clustersim.spec.problems import validate

__all__ = ["SUFFIXES", "read_model_file", "save_model"]

SUFFIXES = (".yaml", ".yml", ".csv")
"""Of model files; `.json` is Hugging Face's."""

_FAR = 0.05
"""Counted parameters further than this from `published_parameters` are a mistake in the file."""


def read_model_file(path: Path) -> TransformerModel | LayerTableModel:
    """Read a model file.

    YAML holds what `clustersim.spec.model_file.ModelFileSpec` says. CSV holds the rows of a layer table,
    its first line the names of columns (`name`, `kind`, `flops`, `parameters`, `input_elements`,
    `output_elements`, `repeat`; `m`, `n` and `k` in place of `gemm`); empty cells are left out.

    Raises
    ------
    InputError
        With line and column of everything that is wrong.

    **Checked by:** tests/catalog/test_model_files.py.
    """
    document = _csv(path) if path.suffix == ".csv" else yaml_io.read(path)
    spec: ModelFileSpec = validate(
        ModelFileSpec, document.data, place=document.place, known=document.problems
    )
    source = Source(spec.source or f"model file {path.name}", "seen")
    model = _table(spec, source) if spec.layers is not None else _transformer(spec, source)
    published = spec.published_parameters
    if published is not None and abs(model.parameters / published - 1.0) > _FAR:
        message = f"is {published:,.0f}, but {model.parameters:,} are counted; one of the two is wrong"
        raise InputError(document.place.locate(Problem(("published_parameters",), message)))
    return model


def _table(spec: ModelFileSpec, source: Source) -> LayerTableModel:
    return LayerTableModel(
        name=spec.model,
        layers=tuple(layer for row in spec.layers or () for layer in _repeated(row)),
        unit=spec.unit,
        published_parameters=spec.published_parameters,
        sources={"all": source},
    )


def _repeated(row: LayerRowSpec) -> Iterator[TableLayer]:
    gemm = row.gemm or (_implied_product(row) if row.kind in ("conv", "linear") else None)
    for number in range(row.repeat):
        yield TableLayer(
            name=row.name if row.repeat == 1 else f"{row.name}.{number}",
            kind=row.kind,
            flops_forward=row.flops or (2.0 * gemm[0] * gemm[1] * gemm[2] if gemm else 0.0),
            parameters=row.parameters,
            input_elements=row.input_elements,
            output_elements=row.output_elements,
            gemm=gemm,
        )


def _implied_product(row: LayerRowSpec) -> tuple[int, int, int]:
    """Return (m, n, k) from 2·m·n·k FLOPs, m·n outputs and k·n weights."""
    k = row.flops / (2.0 * row.output_elements)
    n = row.parameters / k
    return tuple(max(1, round(size)) for size in (row.output_elements / n, n, k))  # type: ignore[return-value]


def _transformer(spec: ModelFileSpec, source: Source) -> TransformerModel:
    shape = spec.transformer
    assert shape is not None  # the file has layers otherwise
    given = {name: getattr(shape, name) for name in type(shape).model_fields}
    return TransformerModel(
        **given
        | {
            "name": spec.model,
            "kv_heads": shape.kv_heads or shape.heads,
            "head_dim": shape.head_dim or max(1, shape.hidden // shape.heads),
            "moe": None if shape.moe is None else MoeConfig(**shape.moe.model_dump()),
            "mla": None if shape.mla is None else MlaConfig(**shape.mla.model_dump()),
            "published_parameters": spec.published_parameters,
            "sources": {"all": source},
        }
    )


def _csv(path: Path) -> yaml_io.Document:
    """Read rows of a table as the document that a YAML file with the same layers gives."""
    file = str(path)
    try:
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except OSError as error:
        raise InputError(Problem((), f"cannot be read: {error.strerror}", file=file)) from None
    except UnicodeDecodeError:
        raise InputError(Problem((), "is not UTF-8 text", file=file)) from None
    if len(lines) < 2:
        raise InputError(Problem((), "is empty; a line with the names of columns is due, then layers", file))
    names = [name.strip() for name in lines[0]]
    rows: list[Any] = []
    places: dict[int | str, Place] = {}
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) > len(names):
            message = f"has {len(cells)} cells, the first line names {len(names)} columns"
            raise InputError(Problem((), message, file, number, 1))
        if any(cell.strip() for cell in cells):
            values, children = _row(names, cells, file, number)
            places[len(rows)] = Place(file, number, 1, children)
            rows.append(values)
    layers = Place(file, 1, 1, places)
    return yaml_io.Document({"model": path.stem, "layers": rows}, Place(file, 1, 1, {"layers": layers}))


def _row(
    names: list[str], cells: list[str], file: str, line: int
) -> tuple[dict[str, Any], dict[int | str, Place]]:
    values: dict[str, Any] = {}
    places: dict[int | str, Place] = {}
    for column, (name, cell) in enumerate(zip(names, cells, strict=False), start=1):
        if not cell.strip():
            continue
        places[name] = Place(file, line, column)
        values[name] = cell.strip() if name in ("name", "kind") else yaml_io.parse_value(cell.strip())
    if any(name in values for name in "mnk"):
        places["gemm"] = next(places[name] for name in "mnk" if name in places)
        values["gemm"] = [values.pop(name, None) for name in "mnk"]
    return values, places


def save_model(model: TransformerModel | LayerTableModel, path: Path | str) -> Path:
    """Write a model made in Python as a model file, which scenarios can name.

    What `clustersim.catalog.model` reads back equals `model`.

    Raises
    ------
    InputError
        If the name of the file does not end in `.yaml`.
    """
    target = Path(path)
    if target.suffix not in (".yaml", ".yml"):
        raise InputError(f"{target}: the name of a model file ends in .yaml")
    source = model.sources.get("all")
    head: dict[str, Any] = {"model": model.name} | ({} if source is None else {"source": source.text})
    if model.published_parameters is not None:
        head["published_parameters"] = model.published_parameters
    body = _written_table(model) if isinstance(model, LayerTableModel) else _written_shape(model)
    target.write_text(yaml_io.dump(head | body), encoding="utf-8")
    return target


def _written_table(model: LayerTableModel) -> dict[str, Any]:
    rows = [asdict(layer) for layer in model.layers]
    renamed = [
        {("flops" if key == "flops_forward" else key): value for key, value in row.items()} for row in rows
    ]
    return {"unit": model.unit, "layers": [_given(row) for row in renamed]}


def _written_shape(model: TransformerModel) -> dict[str, Any]:
    names = [field.name for field in fields(model) if field.name in TransformerSpec.model_fields]
    shape = {name: getattr(model, name) for name in names}
    for part in ("moe", "mla"):
        if shape[part] is not None:
            shape[part] = _given(asdict(shape[part]))
    return {"transformer": _given(shape)}


def _given(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value is not None}
