"""Sourced facts: accelerators, links, node types, models and request lengths.

Names are case-insensitive and may be aliases; a name that is not there raises
`CatalogError` with the nearest one. Data files are read on first use.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from clustersim.catalog._describe import describe_entry, overview
from clustersim.catalog._store import Shelf, Source, normalised
from clustersim.errors import CatalogError, did_you_mean

if TYPE_CHECKING:
    from clustersim.catalog.accelerators import Accelerator
    from clustersim.catalog.layer_tables import LayerTableModel
    from clustersim.catalog.length_tables import LengthTable
    from clustersim.catalog.links import LinkType
    from clustersim.catalog.models import TransformerModel
    from clustersim.catalog.nodes import NodeType
    from clustersim.catalog.ranking_models import RankingModel

__all__ = [
    "Source",
    "accelerator",
    "describe",
    "kinds",
    "lengths",
    "link",
    "model",
    "names",
    "node_type",
    "ranking_model",
    "save_model",
]

_MODULES = {
    "accelerators": "accelerators",
    "links": "links",
    "packets": "packets",
    "encodings": "encodings",
    "node-types": "nodes",
    "models": "models",
    "ranking-models": "ranking_files",
    "ranking-frameworks": "ranking_frameworks",
    "lengths": "length_tables",
    "reuse-histograms": "reuse",
    "client-mixtures": "client_mixtures",
    "engines": "serving",
    "query-sizes": "query_sizes",
    "processors": "processors",
    "ranking-engines": "ranking_engines",
    "drives": "drives",
    "collectives": "collectives",
    "prices": "prices",
    "server-powers": "power",
    "reliability": "reliability",
}


def _shelf(kind: str) -> Shelf[Any]:
    return cast("Shelf[Any]", import_module(f"clustersim.catalog.{_MODULES[kind]}").SHELF)


def accelerator(name_or_path: str) -> Accelerator:
    """Return an accelerator of the catalogue, or that of a device file (`.yaml`).

    Raises
    ------
    CatalogError
        For an unknown name.
    InputError
        For a device file that cannot be read; see `clustersim.catalog.device_files`.
    """
    from clustersim.catalog.accelerators import find_accelerator

    return find_accelerator(name_or_path)


def link(name: str) -> LinkType:
    """Return a link type; raise `CatalogError` for an unknown name."""
    return cast("LinkType", _shelf("links").get(name))


def node_type(name: str) -> NodeType:
    """Return a node type; raise `CatalogError` for an unknown name."""
    return cast("NodeType", _shelf("node-types").get(name))


def lengths(name: str) -> LengthTable:
    """Return a table of request lengths; raise `CatalogError` for an unknown name."""
    return cast("LengthTable", _shelf("lengths").get(name))


def model(name_or_path: str, *, base: Path | None = None) -> TransformerModel | LayerTableModel:
    """Return a model of the catalogue, or read one: a model file or a Hugging Face `config.json`.

    Parameters
    ----------
    name_or_path
        Name or alias; else the path of a model file (`.yaml`, `.csv`), of a `config.json`, or of a
        folder that holds one.
    base
        Folder that a relative path starts from; the working folder where None.

    Raises
    ------
    CatalogError
        For a name that is not in the catalogue and does not look like a path.
    InputError
        For a file that cannot be read.
    """
    from clustersim.catalog.model_files import SUFFIXES, read_model_file

    shelf = _shelf("models")
    if name_or_path in shelf:
        return cast("TransformerModel | LayerTableModel", shelf.get(name_or_path))
    path = (base or Path()) / name_or_path
    if path.suffix in SUFFIXES:
        return read_model_file(path)
    if path.is_dir():
        path = path / "config.json"
    elif path.suffix != ".json":
        shelf.record(name_or_path)
    from clustersim.catalog.huggingface import read_config

    return read_config(path)


def save_model(model: TransformerModel | LayerTableModel | RankingModel, path: Path | str) -> Path:
    """Write a model made in Python as a file that scenarios can name.

    See `catalog.model_files`, and `catalog.ranking_files` for ranking models.
    """
    from clustersim.catalog import model_files, ranking_files
    from clustersim.catalog.ranking_models import RankingModel

    if isinstance(model, RankingModel):
        return ranking_files.save_ranking_model(model, path)
    return model_files.save_model(model, path)


def ranking_model(name_or_path: str, *, base: Path | None = None) -> RankingModel:
    """Return a ranking model of the catalogue, or read one from a file (`.yaml`).

    Parameters
    ----------
    name_or_path
        Name or alias; else the path of a model file.
    base
        Folder that a relative path starts from; the working folder where None.

    Raises
    ------
    CatalogError
        For a name that is not in the catalogue and does not look like a path.
    InputError
        For a file that cannot be read.
    """
    from clustersim.catalog.ranking_files import find_ranking_model

    return find_ranking_model(name_or_path, base=base)


def kinds() -> tuple[str, ...]:
    """Return the kinds of entries: accelerators, links, packets, encodings, node-types, …"""
    return tuple(_MODULES)


def names(kind: str | None = None) -> list[str]:
    """Return the names of one kind, or of all kinds one after the other.

    Raises
    ------
    CatalogError
        For an unknown kind.
    """
    if kind is None:
        return [name for each in _MODULES for name in _shelf(each).names()]
    known = _kind(kind)
    if known is None:
        raise CatalogError(f"unknown kind of catalogue entry '{kind}'.{did_you_mean(kind, _MODULES)}")
    return _shelf(known).names()


def _kind(name: str) -> str | None:
    """Return the kind that a name in the singular or plural means."""
    wanted = normalised(name).rstrip("s")
    return next((known for known in _MODULES if known.rstrip("s") == wanted), None)


def describe(name: str | None = None) -> str:
    """Return an entry as text: each field with unit and source; all names where none is given.

    The name of a kind gives its entries: of ranking models a table, of others their names.

    Raises
    ------
    CatalogError
        If no kind has an entry of this name.
    """
    if name is None:
        return "\n\n".join(_listed(kind) for kind in _MODULES)
    found = [shelf for shelf in map(_shelf, _MODULES) if name in shelf]
    if not found and (kind := _kind(name)) is not None:
        return _overview(kind)
    if not found:
        raise CatalogError(f"the catalogue has no entry '{name}'.{did_you_mean(name, names())}")
    return "\n\n".join(
        describe_entry(shelf.get(name), kind=shelf.kind, aliases=shelf.aliases(name)) for shelf in found
    )


def _overview(kind: str) -> str:
    """Return the entries of a kind, as a table where its module says of which columns."""
    columns = getattr(import_module(f"clustersim.catalog.{_MODULES[kind]}"), "OVERVIEW", None)
    if columns is None:
        return _listed(kind)
    return overview(map(_shelf(kind).get, names(kind)), columns)


def _listed(kind: str) -> str:
    import textwrap

    listed = textwrap.fill(
        ", ".join(names(kind)),
        width=100,
        initial_indent="  ",
        subsequent_indent="  ",
        break_on_hyphens=False,
    )
    return f"{kind}\n{listed}"
