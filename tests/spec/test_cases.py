"""Case files: valid scenarios resolve to their golden twins, invalid ones are refused in these words."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest

from clustersim.errors import InputError
from clustersim.spec import schema, yaml_io
from clustersim.spec.load import load

CASES = Path(__file__).parents[1] / "cases"


def _regenerate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("regenerate", CASES / "regenerate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


regenerate = _regenerate()
VALID = regenerate.case_files("valid")
INVALID = regenerate.case_files("invalid")
each_valid = pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
each_invalid = pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)

# Refused for what a schema of one file cannot say: relations between fields, other files,
# the difference between 8 and 8.0, zero where a positive quantity is due.
BEYOND_THE_SCHEMA = {
    "duplicate-workload-name",
    "half-of-the-lengths",
    "no-end",
    "number-beyond-range",
    "ranking-service-fields",
    "ranking-training-no-batch",
    "rate-steps-out-of-order",
    "service-that-never-ends",
    "service-without-lengths",
    "serving-layout-that-contradicts-itself",
    "tenants-and-arrivals",
    "tiers-without-prefixes",
    "topology-file-missing",
    "topology-file-with-a-duplicate",
    "trace-with-lengths",
    "two-collective-algorithms",
    "two-ends",
    "two-tiers-of-a-kind",
    "workload-named-fabric",
    "wrap-of-another-length",
    "zero-rate",
}


def parsed(path: Path) -> object:
    """What a case says, or None where YAML itself refuses some of it."""
    try:
        document = yaml_io.read(path)
    except InputError:
        return None
    return None if document.problems else document.data


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema.scenario_schema())


def test_there_are_many_cases_of_both_kinds() -> None:
    assert len(VALID) >= 12
    assert len(INVALID) >= 30


@each_valid
def test_a_valid_case_resolves_to_its_golden_twin(path: Path) -> None:
    assert load(path).resolved_yaml() == path.with_suffix(".resolved.yaml").read_text(encoding="utf-8")


@each_valid
def test_a_resolved_twin_is_a_scenario_and_resolves_to_itself(path: Path) -> None:
    twin = path.with_suffix(".resolved.yaml")
    assert load(twin) == load(path)
    assert load(twin).resolved_yaml() == twin.read_text(encoding="utf-8")


@each_valid
def test_a_valid_case_and_its_twin_validate_against_the_schema(
    path: Path, validator: jsonschema.Draft202012Validator
) -> None:
    for file in (path, path.with_suffix(".resolved.yaml")):
        validator.validate(yaml_io.read(file).data)


@each_invalid
def test_an_invalid_case_is_refused_in_the_expected_words(path: Path) -> None:
    assert regenerate.messages(path) == path.with_suffix(".txt").read_text(encoding="utf-8")


@each_invalid
def test_every_problem_of_an_invalid_case_has_file_line_and_column(path: Path) -> None:
    for line in path.with_suffix(".txt").read_text(encoding="utf-8").splitlines():
        file, row, column, message = line.split(":", 3)
        assert (path.parent / file).is_file()
        assert int(row) >= 1
        assert int(column) >= 1
        assert message.strip()


@each_invalid
def test_messages_are_not_pydantics_and_name_no_tag(path: Path) -> None:
    text = path.with_suffix(".txt").read_text(encoding="utf-8")
    for word in ("Input should", "Extra inputs", "discriminator", "tag found", ".training.", ".inference."):
        assert word not in text


@each_invalid
def test_the_schema_refuses_what_is_structurally_invalid(
    path: Path, validator: jsonschema.Draft202012Validator
) -> None:
    case = parsed(path)
    if case is None:
        return  # YAML itself refuses it; no schema sees it
    assert validator.is_valid(case) == (path.stem in BEYOND_THE_SCHEMA)


@pytest.mark.parametrize(
    "path", sorted((CASES / "valid" / "topologies").glob("*.yaml")), ids=lambda path: path.stem
)
def test_a_topology_file_validates_against_its_own_schema(path: Path) -> None:
    jsonschema.validate(yaml_io.read(path).data, schema.topology_schema())


def test_the_schema_of_topologies_refuses_an_invalid_one() -> None:
    data = yaml_io.read(CASES / "invalid" / "topologies" / "invalid.yaml").data
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema.topology_schema())
