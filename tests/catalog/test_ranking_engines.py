"""Engines of ranking services in the catalogue."""

from __future__ import annotations

import pytest

from clustersim.catalog.ranking_engines import DEFAULT_ENGINE, SHELF
from clustersim.cost.operators import ELEMENT_BYTES
from clustersim.errors import CatalogError

ENGINES = [SHELF.get(name) for name in SHELF.names()]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_every_engine_has_times_of_a_host_and_a_source_for_each(engine: object) -> None:
    fields = vars(engine).items()
    times = {name: value for name, value in fields if name.endswith("_s") and "per_s" not in name and value}
    assert all(0.0 <= value < 0.01 for value in times.values())
    assert set(times) <= set(engine.sources)  # type: ignore[attr-defined]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_what_is_handed_over_has_a_size(engine: object) -> None:
    hand_over = engine.hand_over  # type: ignore[attr-defined]
    assert hand_over is None or hand_over in ELEMENT_BYTES


def test_the_default_engine_is_in_the_catalogue_and_others_are_suggested() -> None:
    assert SHELF.get(DEFAULT_ENGINE).name == DEFAULT_ENGINE
    with pytest.raises(CatalogError, match="triton-hps"):
        SHELF.get("triton-hp")


def test_inputs_of_a_sample_are_its_features_and_indices() -> None:
    # DLRM-DCNv2 in MLPerf: 13 features in 16 bits and 214 indices of 32 bits.
    assert SHELF.get("mlperf-tensorrt").input_bytes(dense_features=13, lookups=214) == 882
