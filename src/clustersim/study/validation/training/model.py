"""Which model a row of training runs is about: from its columns, its name, or what its source says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from itertools import product
from typing import Any

from clustersim import catalog
from clustersim.catalog._store import Source
from clustersim.catalog.models import TransformerModel
from clustersim.errors import InputError, did_you_mean
from clustersim.study.validation.framework import read_table
from clustersim.study.validation.training.row import TrainingRow

__all__ = ["complete", "model_of"]

_SHAPE = ("layers", "hidden", "heads", "kv_heads", "ffn_hidden", "vocab")
_FAR_OFF = 0.06
"""Parameters may differ so much from those published, which are rounded and count embeddings or not."""
_HYBRIDS = re.compile(r"nemotron[\s_-]*(?:3|h\b|nano|super)|mamba|jamba|zamba|rwkv", re.IGNORECASE)


def complete(row: TrainingRow) -> TrainingRow:
    """Return the row with what its source says about the run outside of its table.

    **Source:** data/training_details.csv, line by line.
    """
    for details in _details():
        if details["table"] == row.table and details["model"] in ("", row.model):
            said = {name: int(details[name]) for name in ("layers", "hidden", "heads") if details[name]}
            return replace(row, **said, dtype=details["dtype"] or row.dtype)  # type: ignore[arg-type]
    return row


@cache
def _details() -> list[dict[str, str]]:
    path = resources.files("clustersim.study.validation") / "data" / "training_details.csv"
    with resources.as_file(path) as file:
        return read_table(file, ("table", "model", "layers", "hidden", "heads", "dtype", "source"))


def model_of(row: TrainingRow) -> TransformerModel:
    """Return the model of a (complete) row.

    Columns come first, the catalogue's entry of the name gives the rest. A model that is not in the
    catalogue has a plain or gated feed-forward part and embeddings that are tied or not, as
    the published number of parameters says.

    Raises
    ------
    InputError
        If the model is not a transformer, or neither columns nor catalogue give its shape.
    """
    if _HYBRIDS.search(row.model):
        raise InputError(f"'{row.model}' has state-space (Mamba) layers, which are not modelled")
    known = _catalogued(row.model)
    shape = {name: getattr(row, name) for name in _SHAPE if getattr(row, name) is not None}
    if known is not None and not _contradicts(known, shape):
        return _adapted(known, shape)
    missing = [name for name in ("layers", "hidden", "heads", "sequence") if getattr(row, name) is None]
    if missing:
        named = f"'{row.model}' is not in the catalogue" if row.model else "no model is named"
        hint = did_you_mean(row.model, _names().values()) if row.model else ""
        hint = f".{hint}" if "mean" in hint else ""
        raise InputError(f"{named}, and the row does not give {' or '.join(missing)}{hint}")
    return _nearest(row, shape)


def _catalogued(name: str) -> TransformerModel | None:
    """Return the catalogue's transformer of a name, however it is spelt."""
    if _plain(name) not in _names():
        return None
    found = catalog.model(_names()[_plain(name)])
    return found if isinstance(found, TransformerModel) else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9.]", "", name.lower())


@cache
def _names() -> Mapping[str, str]:
    from clustersim.catalog.models import SHELF

    return {_plain(alias): name for name in SHELF.names() for alias in (name, *SHELF.aliases(name))}


def _contradicts(model: TransformerModel, shape: Mapping[str, int]) -> bool:
    """Whether a whole shape is given, and is that of another model of the same name."""
    widths = ("hidden", "heads")
    return {"layers", *widths} <= shape.keys() and any(getattr(model, name) != shape[name] for name in widths)


def _adapted(model: TransformerModel, shape: Mapping[str, int]) -> TransformerModel:
    """Return the catalogue's model with the layers and other numbers of the columns, where they differ."""
    changed: dict[str, Any] = {
        name: number for name, number in shape.items() if getattr(model, name) != number
    }
    if not changed:
        return model
    return replace(model, name=f"{model.name} with other columns", **changed)


def _nearest(row: TrainingRow, shape: Mapping[str, int]) -> TransformerModel:
    """Return the candidate whose parameters come nearest to the published number."""
    candidates = list(_candidates(row, shape))
    if row.parameters is None:
        return candidates[0]
    published = row.parameters
    model = min(candidates, key=lambda each: abs(each.parameters / published - 1.0))
    inside = model.parameters - model.embedding_parameters - model.output_parameters
    if min(abs(count / published - 1.0) for count in (model.parameters, inside)) > _FAR_OFF:
        raise InputError(
            f"'{row.model}': layers, hidden and the other columns make {model.parameters / 1e9:.3g} billion "
            f"parameters, published are {published / 1e9:.3g}"
        )
    return model


def _candidates(row: TrainingRow, shape: Mapping[str, int]) -> Iterator[TransformerModel]:
    hidden, heads = shape["hidden"], shape["heads"]
    mpt = row.model.lower().startswith("mpt")
    for gated, tied in product((False, True), (True, False)):
        yield TransformerModel(
            name=row.model or "unnamed",
            layers=shape["layers"],
            hidden=hidden,
            heads=heads,
            kv_heads=shape.get("kv_heads", heads),
            head_dim=hidden // heads,
            ffn_hidden=shape.get("ffn_hidden", 4 * hidden),
            gated_ffn=gated,
            vocab=shape.get("vocab", 51200),
            tied_embeddings=tied,
            max_sequence=row.sequence or 0,
            positional="rope" if gated else "learned",
            norm="rmsnorm" if gated else "layernorm",
            bias="none" if gated or mpt else "all",
            dropout=False if mpt else None,  # llm-foundry's yamls: no_bias, and no dropout anywhere
            sources={"all": Source(f"columns of row {row.id}", "seen")},
        )
