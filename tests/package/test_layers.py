"""Each layer imports only from those above it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

# Order of docs/architecture.md; layers on one line do not import each other.
LAYERS = [
    {"units", "errors"},
    {"spec"},
    {"catalog"},
    {"topology"},
    {"engine"},
    {"collectives", "cost"},
    {"workloads"},
    {"results"},
    {"study", "interchange"},
    {"report", "cli"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
SOURCE = Path(__file__).parents[2] / "src" / "clustersim"
FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def imported(tree: ast.Module, *, top_level_only: bool) -> set[str]:
    """Layers of clustersim that a module imports."""
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    names = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("clustersim.")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_from_layers_above_its_own(path: Path) -> None:
    layer = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    for other in imported(ast.parse(path.read_text()), top_level_only=True) & RANK.keys():
        assert other == layer or RANK[other] < RANK[layer] or {layer, other} == {"units", "errors"}


def test_every_module_belongs_to_a_layer() -> None:
    assert {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in FILES} == set(RANK)


@pytest.mark.parametrize("forbidden", ["pandas", "matplotlib", "yaml", "rich"])
def test_importing_the_package_loads_no_heavy_library(forbidden: str) -> None:
    code = f"import sys, clustersim; sys.exit('{forbidden}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("forbidden", ["pandas", "matplotlib", "rich"])
def test_a_run_itself_loads_neither_pandas_nor_matplotlib(forbidden: str) -> None:
    code = (
        "import sys, clustersim as cs\n"
        "cs.run(cs.load('scenarios/resnet50-on-dgx-a100.yaml'))\n"
        f"sys.exit('{forbidden}' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=SOURCE.parents[1]).returncode == 0
