"""From the words of a row to a ranking model, and what its benchmark trains it with."""

from __future__ import annotations

import re
from typing import NamedTuple

from clustersim import catalog
from clustersim.catalog import ranking_files
from clustersim.catalog._store import normalised
from clustersim.catalog.ranking_models import RankingModel
from clustersim.errors import InputError, did_you_mean

__all__ = ["Optimizers", "model_of", "optimizers_of"]

_NVIDIA = r"deep-?\s?learning-?\s?examples|\bdle\b|tf-?2|tensorflow"
_SIZES = (
    (r"\bextra[ -]?large\b|\b113\s?b|\bt0\b|\bfl\s?=?\s?0\b", "113b"),
    (r"\bsmall\b|\b4(?:\.\d)?\s?b\b|\bt15\b|\bfl\s?=?\s?15\b", "4b"),
    (r"\blarge\b|\b22(?:\.\d)?\s?b\b|\bt3\b|\bfl\s?=?\s?3\b", "22b"),
)
"""Rows of Criteo that occur so often are kept: names of NVIDIA's examples, and of the catalogue."""
_KINDS = (
    (r"dlrm[ -_]*(?:v2|dcn)|dcn[ -_]*v?2", "dlrm-dcnv2-mlperf", "dcnv2"),
    (r"dlrm", "dlrm-criteo-1tb", "dlrm"),
)
_OTHERS = (
    (r"\bncf\b|neu-?\s?mf|neural collaborative", "ncf-nvidia"),
    (r"\bmt-?\s?wnd\b|multi-?\s?task wide", "mt-wnd"),
    (r"wide\s*(?:&|and|n)\s*deep|\bwnd\b|\bw&d\b", "wide-and-deep"),
    (r"\bdien\b", "dien"),
    (r"\bdin\b", "din"),
    (r"\bhstu\b", "hstu-large-ml-20m"),
    (r"\brmc?-?\s?1\b", "deeprecsys-rm1"),
    (r"\brmc?-?\s?2\b", "deeprecsys-rm2"),
    (r"\brmc?-?\s?3\b", "deeprecsys-rm3"),
    (r"(?:neo|zionex).*\bmodel-?\s?a\b|\ba[12]?\b.*(?:neo|zionex)|neo-a", "neo-a"),
    (r"(?:neo|zionex).*\bmodel-?\s?f\b|\bf1?\b.*(?:neo|zionex)|neo-f", "neo-f"),
    (r"(?:neo|zionex).*\bmodel-?\s?i\b|neo-i", "neo-i"),
)
_OPTIMIZERS = (
    (r"partial.*adam", "partial-rowwise-adam"),
    (r"row-?\s?wise", "rowwise-adagrad"),
    (r"adagrad", "adagrad"),
    (r"adam", "adam"),
    (r"\bsgd\b|gradient descent", "sgd"),
)
_DENSE = {"rowwise-adagrad": "adagrad", "partial-rowwise-adam": "adam"}
"""Optimizer of the dense part beside one that is for tables alone."""


class Optimizers(NamedTuple):
    """Optimizer of the dense part, and of the tables."""

    dense: str
    embedding: str


def model_of(words: str) -> RankingModel:
    """Return the ranking model that words name: one of the catalogue, or a size of NVIDIA's examples.

    Raises
    ------
    InputError
        For a model that is not known.
    """
    name = _benchmark(words) or _catalogue_name(words) or _worded(words.lower().replace("_", " "))
    if name is None:
        known = catalog.names("ranking-models")
        raise InputError(f"model '{words}' is not known.{did_you_mean(words, known)}")
    return catalog.ranking_model(name)


def _benchmark(words: str) -> str | None:
    """Return the model of a training benchmark whose name is that of another study's model, too."""
    return "ncf-nvidia" if normalised(words) in ("ncf", "neumf") else None


def _catalogue_name(words: str) -> str | None:
    """Return the longest name or alias of the catalogue that the words are."""
    return words if normalised(words) in ranking_files.SHELF else None


def _worded(text: str) -> str | None:
    for pattern, name in _OTHERS:
        if re.search(pattern, text):
            return name
    kind = next((kind for kind in _KINDS if re.search(kind[0], text)), None)
    if kind is None:
        return None
    size = next((size for pattern, size in _SIZES if re.search(pattern, text)), None)
    return f"{kind[2]}-nvidia-{size}" if size else kind[1]


def optimizers_of(words: str, model: RankingModel) -> Optimizers:
    """Return the optimizers that a row names, else those of the benchmark that the model is from.

    MLPerf trains DLRM-DCNv2 with Adagrad and the one-hot DLRM with SGD, NVIDIA's NCF uses Adam.

    Raises
    ------
    InputError
        For an optimizer that is not known.
    """
    if not words:
        return _usual(model)
    found = next((name for pattern, name in _OPTIMIZERS if re.search(pattern, words.lower())), None)
    if found is None:
        known = [name for _, name in _OPTIMIZERS]
        raise InputError(f"optimizer '{words}' is not known; known: {', '.join(known)}")
    return Optimizers(_DENSE.get(found, found), found)


def _usual(model: RankingModel) -> Optimizers:
    if model.interaction.kind == "dcn-v2":
        return Optimizers("adagrad", "adagrad")
    if model.interaction.kind == "product":
        return Optimizers("adam", "adam")
    if model.interaction.kind == "dot":
        return Optimizers("sgd", "sgd")
    return Optimizers("adam", "rowwise-adagrad")
