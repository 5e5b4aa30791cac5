"""Ranking models of the catalogue and from files of one's own, both in the words of one specification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.catalog.ranking_models import EmbeddingTable, Interaction, RankingModel
from clustersim.catalog.reuse import reuse_histogram
from clustersim.errors import CatalogError, InputError, Problem
from clustersim.spec import yaml_io
from clustersim.spec._places import Place
from clustersim.spec.problems import validate
from clustersim.spec.ranking.model_file import RankingModelSpec, TableGroupSpec

__all__ = ["SHELF", "SUFFIXES", "find_ranking_model", "read_ranking_file", "save_ranking_model"]

SUFFIXES = (".yaml", ".yml")

_FAR = 0.01
"""Tables further than this from `published_embedding_bytes` are a mistake in the file."""


def find_ranking_model(name_or_path: str, *, base: Path | None = None) -> RankingModel:
    """Return a ranking model of the catalogue, or that of a file; see `clustersim.catalog.ranking_model`."""
    if name_or_path not in SHELF and Path(name_or_path).suffix in SUFFIXES:
        return read_ranking_file((base or Path()) / name_or_path)
    return SHELF.get(name_or_path)


def read_ranking_file(path: Path) -> RankingModel:
    """Read a file that holds what `clustersim.spec.ranking.model_file.RankingModelSpec` says.

    Raises
    ------
    InputError
        With line and column of everything that is wrong.

    **Checked by:** tests/catalog/test_ranking_files.py.
    """
    document = _with_listed_tables(yaml_io.read(path))
    spec: RankingModelSpec = validate(
        RankingModelSpec, document.data, place=document.place, known=document.problems
    )
    problems = [document.place.locate(problem) for problem in _wrong_names(spec.tables)]
    if problems:
        raise InputError(problems)
    model = _of_spec(spec, {"all": Source(spec.source or f"model file {path.name}", "seen")})
    repeated = [name for name, count in Counter(table.name for table in model.tables).items() if count > 1]
    if repeated:
        message = f"two tables are called '{repeated[0]}'"
        raise InputError(document.place.locate(Problem(("tables",), message)))
    published = spec.published_embedding_bytes
    if published is not None and abs(model.embedding_bytes("fp32") / published - 1.0) > _FAR:
        counted = model.embedding_bytes("fp32")
        message = f"is {published:,.0f} bytes, but {counted:,.0f} are counted; one of the two is wrong"
        raise InputError(document.place.locate(Problem(("published_embedding_bytes",), message)))
    return model


def _wrong_names(groups: tuple[TableGroupSpec, ...]) -> Iterator[Problem]:
    """Yield names that several groups are given, and histograms that the catalogue does not have."""
    given = [group.name if "name" in group.model_fields_set else None for group in groups]
    for number, (group, name) in enumerate(zip(groups, given, strict=True)):
        if name is not None and name in given[:number]:
            yield Problem(("tables", number, "name"), f"tables before are called '{name}', too")
        if group.reuse is not None:
            try:
                reuse_histogram(group.reuse)
            except CatalogError as error:
                yield Problem(("tables", number, "reuse"), str(error))


def _with_listed_tables(document: yaml_io.Document) -> yaml_io.Document:
    """Put a single group of tables into a list, in the data and in what says where things stand."""
    data, place = document.data, document.place
    if not isinstance(data, dict) or not isinstance(data.get("tables"), dict):
        return document
    group = place.children["tables"]
    listed = Place(group.file, group.line, group.column, {0: group})
    moved = Place(place.file, place.line, place.column, {**place.children, "tables": listed})
    return document._replace(data={**data, "tables": [data["tables"]]}, place=moved)


def _of_spec(spec: RankingModelSpec, sources: Mapping[str, Source]) -> RankingModel:
    return RankingModel(
        name=spec.ranking_model,
        dense_features=spec.dense_features,
        bottom_mlp=spec.bottom_mlp,
        tables=tuple(_tables(spec.tables)),
        interaction=Interaction(**spec.interaction.model_dump()),
        top_mlp=spec.top_mlp,
        task_mlp=spec.task_mlp,
        tasks=spec.tasks,
        published_flops=spec.published_flops,
        published_embedding_bytes=spec.published_embedding_bytes,
        sources=MappingProxyType(dict(sources)),
    )


def _tables(groups: tuple[TableGroupSpec, ...]) -> Iterator[EmbeddingTable]:
    """Yield the tables of all groups; those that share a name are numbered through."""
    totals: Counter[str] = Counter()
    for group in groups:
        totals[group.name] += group.tables
    numbers: Counter[str] = Counter()
    for group in groups:
        common = group.model_dump(exclude={"name", "count", "rows", "pooling"})
        for index in range(group.tables):
            number = numbers[group.name]
            numbers[group.name] += 1
            yield EmbeddingTable(
                name=group.name if totals[group.name] == 1 else f"{group.name}.{number}",
                rows=group.rows[index % len(group.rows)],
                pooling=group.pooling[index % len(group.pooling)],
                **common,
            )


def save_ranking_model(model: RankingModel, path: Path | str) -> Path:
    """Write a ranking model made in Python as a file that scenarios can name.

    What `clustersim.catalog.ranking_model` reads back equals `model`.

    Raises
    ------
    InputError
        If the name of the file does not end in `.yaml`.
    """
    target = Path(path)
    if target.suffix not in SUFFIXES:
        raise InputError(f"{target}: the name of a model file ends in .yaml")
    source = model.sources.get("all")
    data: dict[str, Any] = {"ranking_model": model.name} | ({} if source is None else {"source": source.text})
    for spec in fields(RankingModel):
        value = getattr(model, spec.name)
        if spec.name in ("name", "sources", "tables", "interaction") or value is None or value == ():
            continue
        data[spec.name] = list(value) if isinstance(value, tuple) else value
    if model.published_embedding_bytes is not None:
        data["published_embedding_bytes"] = f"{float(model.published_embedding_bytes)!r} B"
    data["interaction"] = _written_interaction(model.interaction)
    data["tables"] = [_given(asdict(table)) for table in model.tables]
    target.write_text(yaml_io.dump(data), encoding="utf-8")
    return target


def _written_interaction(interaction: Interaction) -> dict[str, Any]:
    """Write what differs from the defaults; the rest is not of this kind."""
    plain = Interaction(kind=interaction.kind)
    written: dict[str, Any] = {"kind": interaction.kind}
    for spec in fields(Interaction):
        value = getattr(interaction, spec.name)
        if value != getattr(plain, spec.name):
            written[spec.name] = list(value) if isinstance(value, tuple) else value
    return written


def _given(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value is not None}


def _build(record: Record) -> RankingModel:
    said = {key: value for key, value in record.fields.items() if key not in ("aliases", "sources")}
    spec = validate(RankingModelSpec, {"ranking_model": record.name, **said})
    return _of_spec(spec, record.sources)


OVERVIEW: Mapping[str, Callable[[RankingModel], str]] = MappingProxyType(
    {
        "model": lambda model: model.name,
        "tables": lambda model: str(len(model.tables)),
        "GiB": lambda model: f"{model.embedding_bytes('fp32') / 2**30:,.2f}",
        "look-ups": lambda model: f"{model.lookups_per_sample:,.0f}",
        "pooled": lambda model: f"{model.pooled_elements:,.0f}",
        "interaction": lambda model: model.interaction.kind,
        "dense M": lambda model: f"{model.dense_parameters / 1e6:,.2f}",
        "MFLOP": lambda model: f"{model.flops_per_sample / 1e6:,.2f}",
    }
)
"""Columns of the table of all ranking models: embedding tables and their size in fp32 (in their own precision
where they have one), look-ups and the elements that these leave per sample, parameters and forward FLOPs
of the dense part."""

SHELF: Shelf[RankingModel] = Shelf("ranking model", file="ranking_models.yaml", build=_build)
