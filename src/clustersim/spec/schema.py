"""JSON Schema of scenario and topology files, for editors and other tools.

The schema is structural: fields, kinds, types, units and bounds. What depends on several
fields (either `steps` or `duration`) and on files is checked only on loading.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from clustersim.spec.cluster import TopologySpec
from clustersim.spec.scenario import Scenario
from clustersim.units import DIMENSIONS, Dimension, Quantity, format_quantity

__all__ = ["scenario_schema", "texts", "topology_schema"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NUMBER = r"(\d[\d_]*\.?[\d_]*|\.\d+)([eE][-+]?\d+)?"


def scenario_schema() -> dict[str, Any]:
    """Return the schema of scenario files."""
    schema = _finished(TypeAdapter(Scenario).json_schema(schema_generator=_Generator))
    topology = schema["$defs"]["ClusterSpec"]["properties"]["topology"]
    inline = {key: topology.pop(key) for key in ("oneOf", "discriminator")}
    topology["anyOf"] = [{"type": "string", "description": "Path of a topology file."}, inline]
    return {"$schema": _DIALECT, **schema}


def topology_schema() -> dict[str, Any]:
    """Return the schema of topology files."""
    schema = _finished(TypeAdapter(TopologySpec).json_schema(schema_generator=_Generator))
    return {"$schema": _DIALECT, "title": "Topology", **schema}


def texts() -> dict[str, str]:
    """Return the text of each schema file by its name, as docs/schema holds them."""
    schemas = {"scenario.json": scenario_schema(), "topology.json": topology_schema()}
    return {name: json.dumps(schema, indent=1, ensure_ascii=False) + "\n" for name, schema in schemas.items()}


class _Generator(GenerateJsonSchema):
    """Writes default quantities as text with a unit."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, Quantity):
            return format_quantity(dft, dft.dimension)
        return super().encode_default(dft)

    def get_title_from_name(self, name: str) -> str:
        return name


def _finished(schema: JsonSchemaValue) -> dict[str, Any]:
    """Share one definition per dimension, and put descriptions on one line."""
    used: dict[str, Dimension] = {}
    result: dict[str, Any] = _walk(schema, used)
    definitions = result.setdefault("$defs", {})
    for name, dimension in sorted(used.items()):
        definitions[name] = _quantity_schema(dimension)
    return result


def _walk(node: Any, used: dict[str, Dimension]) -> Any:
    if isinstance(node, list):
        return [_walk(item, used) for item in node]
    if not isinstance(node, Mapping):
        return node
    dimension = next((one for one in DIMENSIONS if node.get("format") == _format(one)), None)
    if dimension is not None:
        used[_definition(dimension)] = dimension
        kept = {key: value for key, value in node.items() if key in ("default", "description")}
        return {"$ref": f"#/$defs/{_definition(dimension)}", **kept}
    walked = {key: _walk(value, used) for key, value in node.items()}
    if isinstance(walked.get("description"), str):
        walked["description"] = re.sub(r"\s+", " ", walked["description"])
    return walked


def _format(dimension: Dimension) -> str:
    return f"quantity: {dimension.name}"


def _definition(dimension: Dimension) -> str:
    return "".join(word.capitalize() for word in dimension.name.split()) + "Quantity"


def _quantity_schema(dimension: Dimension) -> dict[str, Any]:
    units = "|".join(re.escape(unit) for unit in sorted(dimension.units, key=lambda unit: (-len(unit), unit)))
    return {
        "type": "string",
        "description": f"A number with a unit: {dimension.examples}.",
        "pattern": rf"^\s*\+?{_NUMBER}\s*({units})\s*$",
    }
