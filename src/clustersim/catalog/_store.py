"""Reading the catalogue: YAML and CSV inside the package, read on first use.

A data file has two parts: `sources`, a table of where numbers come from, and `entries`.
An entry names its sources by field, with `all` for the rest:

    sources:
      datasheet: {text: "NVIDIA A100 datasheet, 2021", how: memory}
    entries:
      a100-sxm4-40gb:
        aliases: [a100-40gb]
        sources: {all: datasheet}
        memory: 40 GiB
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any, Generic, Literal, TypeVar

from clustersim.errors import CatalogError, did_you_mean

__all__ = ["Record", "Shelf", "Source", "normalised", "read_csv", "read_yaml"]

Entry = TypeVar("Entry")
_HOW = ("seen", "memory", "assumed")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a number comes from.

    `how` is `seen` (read in the named public place), `memory` (recalled from it, not
    read again) or `assumed` (a choice; `text` says why).
    """

    text: str
    how: Literal["seen", "memory", "assumed"]

    def __str__(self) -> str:
        return f"{self.text} ({self.how})"


@dataclass(frozen=True)
class Record:
    """One entry as the data file has it, with the sources of its fields."""

    name: str
    fields: Mapping[str, Any]
    sources: Mapping[str, Source]

    def source(self, field: str) -> Source:
        """Return the source of one field: its own, else the one of `all`."""
        found = self.sources.get(field) or self.sources.get("all")
        if found is None:
            raise CatalogError(f"catalogue entry '{self.name}' gives no source for '{field}'")
        return found

    def sources_of(self, fields: Iterator[str] | list[str] | tuple[str, ...]) -> dict[str, Source]:
        """Return the sources of several fields."""
        return {field: self.source(field) for field in fields}


def normalised(name: str) -> str:
    """Return the form in which names are compared: lower case, single hyphens."""
    return "-".join(name.casefold().replace("_", " ").replace("-", " ").split())


def read_yaml(file: str) -> Any:
    """Read a YAML file of the catalogue's data folder."""
    import yaml

    return yaml.load(_read_text(file), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def read_csv(file: str) -> list[dict[str, str]]:
    """Read a CSV file of the catalogue's data folder; lines that begin with `#` are comments."""
    return list(csv.DictReader(line for line in _read_text(file).splitlines() if not line.startswith("#")))


def _read_text(file: str) -> str:
    return (resources.files("clustersim.catalog") / "data" / file).read_text(encoding="utf-8")


class Shelf(Generic[Entry]):
    """The entries of one kind in one data file, built when they are asked for.

    Parameters
    ----------
    kind
        What messages call an entry: `accelerator`.
    file
        YAML file in the data folder.
    build
        Turns a `Record` into an entry.
    """

    def __init__(self, kind: str, *, file: str, build: Callable[[Record], Entry]) -> None:
        self.kind = kind
        self._file = file
        self._build = build
        self._built: dict[str, Entry] = {}

    @cached_property
    def _document(self) -> Mapping[str, Any]:
        document = read_yaml(self._file)
        return document if isinstance(document, Mapping) else {}

    @cached_property
    def _sources(self) -> dict[str, Source]:
        table = {}
        for key, value in self._document.get("sources", {}).items():
            if value["how"] not in _HOW:
                raise CatalogError(
                    f"{self._file}: source '{key}' has how '{value['how']}', not one of {_HOW}"
                )
            table[key] = Source(value["text"], value["how"])
        return table

    @cached_property
    def _names(self) -> dict[str, str]:
        """Normalised name or alias → name."""
        table: dict[str, str] = {}
        for name, fields in self._document.get("entries", {}).items():
            for alias in (name, *fields.get("aliases", ())):
                if table.setdefault(normalised(alias), name) != name:
                    raise CatalogError(
                        f"{self._file}: '{alias}' means both '{table[normalised(alias)]}' and '{name}'"
                    )
        return table

    def names(self) -> list[str]:
        """Return the names of all entries, without aliases, in the file's order."""
        return list(self._document.get("entries", {}))

    def aliases(self, name: str) -> list[str]:
        """Return the other names of an entry."""
        return list(self.record(name).fields.get("aliases", ()))

    def __contains__(self, name: str) -> bool:
        return normalised(name) in self._names

    def record(self, name: str) -> Record:
        """Return an entry as the data file has it.

        Raises
        ------
        CatalogError
            For a name that is not there, with the nearest one.
        """
        known = self._names.get(normalised(name))
        if known is None:
            candidates = [*self.names(), *self._names]
            raise CatalogError(f"unknown {self.kind} '{name}'.{did_you_mean(name, candidates)}")
        fields = self._document["entries"][known]
        return Record(
            known, fields, {field: self._source(known, key) for field, key in fields["sources"].items()}
        )

    def _source(self, name: str, key: str) -> Source:
        if key not in self._sources:
            raise CatalogError(f"{self._file}: '{name}' cites '{key}', which is not among its sources")
        return self._sources[key]

    def get(self, name: str) -> Entry:
        """Return the entry of this name or alias; raise `CatalogError` as `record` does."""
        record = self.record(name)
        if record.name not in self._built:
            self._built[record.name] = self._build(record)
        return self._built[record.name]
