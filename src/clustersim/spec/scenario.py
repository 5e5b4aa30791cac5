"""The whole scenario."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, model_validator

from clustersim.errors import InputError, Problem
from clustersim.spec import edit, files, yaml_io
from clustersim.spec._base import LIST, FieldError, SpecModel
from clustersim.spec._places import NOWHERE, Place
from clustersim.spec.chakra import ChakraSpec
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.inference import InferenceSpec
from clustersim.spec.library import library_digest
from clustersim.spec.problems import validate
from clustersim.spec.ranking.inference import RankingInferenceSpec
from clustersim.spec.ranking.training import RankingTrainingSpec
from clustersim.spec.training import TrainingSpec
from clustersim.units import TimeQuantity

__all__ = ["FABRIC", "RunSpec", "Scenario", "WorkloadSpec"]

FABRIC = "fabric"
"""Under this name the network's metrics stand beside those of the workloads."""

WorkloadSpec = Annotated[
    TrainingSpec | InferenceSpec | ChakraSpec | RankingTrainingSpec | RankingInferenceSpec,
    Field(discriminator="kind"),
]
"""A workload; a new kind is one more member of this union."""


class RunSpec(SpecModel):
    """How long to simulate and what to keep."""

    until: TimeQuantity | None = None
    """Stop at this simulated time even if workloads still run. Default: when all are done."""
    trace: bool = True
    """Keep every activity (needed for Gantt, Perfetto and critical paths)."""


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a scenario came from; two scenarios are equal whatever their sources."""

    base_dir: Path | None = field(default=None, compare=False)
    place: Place = field(default=NOWHERE, compare=False)


class Scenario(SpecModel):
    """A cluster and the workloads that meet on it."""

    name: Annotated[str, Field(min_length=1)]
    """Short name, used for output folders."""
    description: str = ""
    """What the scenario shows."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Root of all randomness; `clustersim run --seed` overrides it."""
    cluster: ClusterSpec
    """Where."""
    workloads: Annotated[tuple[WorkloadSpec, ...], LIST, Field(min_length=1)]
    """What runs, all on one clock."""
    run: RunSpec = RunSpec()
    """For how long."""

    _source: _Source = PrivateAttr(default_factory=_Source)

    @model_validator(mode="after")
    def _unique_names(self) -> Self:
        first: dict[str, int] = {}
        for index, workload in enumerate(self.workloads):
            if workload.name == FABRIC:
                raise FieldError(f"'{FABRIC}' names the network in all outputs", "workloads", index, "name")
            other = first.setdefault(workload.name, index)
            if other != index:
                message = f"'{workload.name}' is already the name of workloads[{other}]"
                raise FieldError(message, "workloads", index, "name")
        return self

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, base_dir: Path | str | None = None) -> Scenario:
        """Make a scenario of plain data, as a scenario file holds it.

        Parameters
        ----------
        data
            Mappings, lists and scalars; dimensioned values are text with a unit.
        base_dir
            Folder that the paths of input files are relative to. Default: the working folder.

        Raises
        ------
        InputError
            With every problem of the data.
        """
        document = yaml_io.Document(edit.plain(data), NOWHERE)
        return cls.from_document(document, base_dir=None if base_dir is None else Path(base_dir))

    @classmethod
    def from_document(cls, document: yaml_io.Document, *, base_dir: Path | None) -> Scenario:
        """Make a scenario of a document that knows its positions; as `from_dict` otherwise."""
        return cls._made(document, base_dir, (base_dir or Path(),))

    @classmethod
    def _made(cls, document: yaml_io.Document, base_dir: Path | None, folders: tuple[Path, ...]) -> Scenario:
        inlined = files.inline_topology(document.data, document.place, folders)
        known = (*document.problems, *inlined.problems)
        scenario: Scenario = validate(cls, inlined.data, place=inlined.place, known=known)
        scenario._source = _Source(base_dir, inlined.place)
        return scenario

    def with_(self, **changes: Any) -> Scenario:
        """Return a scenario that differs in some fields; all of it is checked again.

        Parameters
        ----------
        **changes
            Value by dotted path: `scenario.with_(**{"cluster.fabric.bandwidth": "800 Gbit/s"})`.
            A workload is named by its name or its index (`workloads.chat.replicas`,
            `workloads[0].gpus`). `cluster.topology` takes a topology file's path (beside
            the scenario, or in the working folder), a mapping, or a topology model.

        Raises
        ------
        InputError
            For a path that leads nowhere, and for values that the scenario cannot take.
        """
        data, paths = edit.apply(Scenario, edit.plain(self), changes)
        place = self._source.place
        for path in paths:
            place = place.put(path, NOWHERE)
        base_dir = self._source.base_dir
        return self._made(yaml_io.Document(data, place), base_dir, (base_dir or Path(), Path()))

    @property
    def base_dir(self) -> Path | None:
        """Folder that the paths of input files are relative to; None is the working folder."""
        return self._source.base_dir

    @property
    def source_file(self) -> str | None:
        """The file that the scenario was read from, as it was named then."""
        return self._source.place.file

    @property
    def place(self) -> Place:
        """Positions of everything in the file that the scenario was read from."""
        return self._source.place

    def locate(self, problem: Problem) -> Problem:
        """Return `problem` with file, line and column of its path, where the scenario came from a file."""
        return self._source.place.locate(problem)

    def locate_all(self, error: InputError) -> InputError:
        """Return an error of the same class whose problems carry their positions."""
        return type(error)([self.locate(problem) for problem in error.problems])

    def resolved_yaml(self, *, folder: Path | str | None = None) -> str:
        """Write the scenario with every default explicit and its topology in place.

        Parameters
        ----------
        folder
            Where the text will be kept, if not beside the scenario's own file: the paths of
            input files are written so that they are found from there.
        """
        data = self.model_dump(mode="json")
        if folder is not None:
            data = files.rebased(self, data, base=self.base_dir or Path(), folder=Path(folder))
        return yaml_io.dump(data)

    def content_hash(self, seed: int | None = None) -> str:
        """Return what identifies the result of a run: a SHA-256 over all that decides it.

        That is the resolved scenario with its seed (or `seed`), in it the contents of input
        files in place of their paths, and the library's code and catalogue.

        Raises
        ------
        InputError
            If an input file cannot be read.
        """
        resolved = files.digested(self, self.model_dump(mode="json"), base=self.base_dir)
        decisive = {
            "scenario": resolved if seed is None else {**resolved, "seed": seed},
            "library": library_digest(),
        }
        text = json.dumps(decisive, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()
