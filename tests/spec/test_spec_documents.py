"""Documents made from the spec are fresh and complete."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import jsonschema
import pytest

from clustersim.spec import cluster, inference, placement, reference, scenario, schema, training
from clustersim.spec._base import SpecModel

DOCS = Path(__file__).parents[2] / "docs"
AGAIN = "run 'python tests/cases/regenerate.py'"
MODELS = sorted(
    {
        model
        for module in (cluster, inference, placement, scenario, training)
        for _, model in inspect.getmembers(module, inspect.isclass)
        if issubclass(model, SpecModel) and model is not SpecModel and not model.__name__.startswith("_")
    },
    key=lambda model: model.__name__,
)


@pytest.mark.parametrize("name", schema.texts())
def test_the_schema_in_docs_is_fresh(name: str) -> None:
    assert (DOCS / "schema" / name).read_text(encoding="utf-8") == schema.texts()[name], AGAIN


def test_the_reference_in_docs_is_fresh() -> None:
    assert (DOCS / "scenario-reference.md").read_text(encoding="utf-8") == reference.text(), AGAIN


@pytest.mark.parametrize("name", schema.texts())
def test_a_schema_is_itself_valid(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(schema.texts()[name]))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_is_described(model: type[SpecModel]) -> None:
    assert model.__doc__
    for row in reference.field_rows(model):
        assert row.description, f"{model.__name__}.{row.field} has no docstring"
        assert row.type


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_has_its_table_in_the_reference(model: type[SpecModel]) -> None:
    text = reference.text()
    assert " ".join((model.__doc__ or "").split()) in text
    for name in model.model_fields:
        assert f"| `{name}` |" in text


def test_a_dimensioned_field_shows_its_units_and_its_default_with_a_unit() -> None:
    rows = {row.field: row for row in reference.field_rows(training.OverlapSpec)}
    assert rows["gradient_bucket"].type == "size"
    assert "MiB" in rows["gradient_bucket"].unit
    assert rows["gradient_bucket"].default == "`25 MiB`"


def test_the_schema_takes_a_topology_inline_or_as_a_path() -> None:
    topology = schema.scenario_schema()["$defs"]["ClusterSpec"]["properties"]["topology"]
    assert [option.get("type", "inline") for option in topology["anyOf"]] == ["string", "inline"]


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("5 us", True),
        ("5us", True),
        ("1.5e3 s", True),
        ("5", False),
        ("-5 s", False),
        ("5 GB", False),
        ("inf", False),
    ],
)
def test_the_schema_knows_the_units_of_a_time(text: str, fits: bool) -> None:
    time = schema.scenario_schema()["$defs"]["TimeQuantity"]
    assert jsonschema.Draft202012Validator(time).is_valid(text) == fits
