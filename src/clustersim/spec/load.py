"""Scenario and topology files from disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustersim.errors import InputError, Problem
from clustersim.spec import shipped, yaml_io
from clustersim.spec._places import Place
from clustersim.spec.cluster import ClusterSpec, TopologySpec
from clustersim.spec.problems import validate
from clustersim.spec.scenario import Scenario

__all__ = ["ClusterFile", "load", "load_cluster"]

_SECTIONS = {"cluster", "workloads"}


def load(path: Path | str) -> Scenario:
    """Read a scenario file.

    Parameters
    ----------
    path
        The file; where there is none in the working folder, a shipped scenario of that
        name (`scenarios/x.yaml`) is taken.

    Raises
    ------
    InputError
        With every problem of the file, each with line and column.

    Examples
    --------
    >>> scenario = load("scenarios/ddp-and-chat-on-one-fabric.yaml")  # doctest: +SKIP
    """
    found = shipped.find(path)
    document = yaml_io.read(found, label=str(path))
    if isinstance(document.data, dict) and not _SECTIONS & document.data.keys() and "kind" in document.data:
        message = "this is a topology file, not a scenario; 'clustersim topology show' reads it"
        raise InputError(Problem((), message, file=str(path)))
    return Scenario.from_document(document, base_dir=found.parent)


@dataclass(frozen=True)
class ClusterFile:
    """A cluster read from a topology file or from a scenario file.

    Parameters
    ----------
    cluster
        With the default fabric where the file is a topology.
    base_dir
        Folder that the paths in it are relative to.
    """

    cluster: ClusterSpec
    base_dir: Path
    _place: Place

    def locate_all(self, error: InputError) -> InputError:
        """Return an error of the same class, its problems (paths from the cluster on) with positions."""
        return type(error)([self._place.locate(problem) for problem in error.problems])


def load_cluster(path: Path | str) -> ClusterFile:
    """Read the cluster of a topology file or of a scenario file.

    A file with a `cluster` is a scenario; any other is taken as a topology.

    Raises
    ------
    InputError
        With every problem of the file, each with line and column.
    """
    found = shipped.find(path, kind="topologies")
    document = yaml_io.read(found, label=str(path))
    if isinstance(document.data, dict) and "cluster" in document.data:
        scenario = Scenario.from_document(document, base_dir=found.parent)
        return ClusterFile(scenario.cluster, found.parent, scenario.place.find(("cluster",)))
    topology: Any = validate(TopologySpec, document.data, place=document.place, known=document.problems)
    place = Place(str(path), 1, 1, {"topology": document.place})
    return ClusterFile(ClusterSpec(topology=topology), found.parent, place)
