"""What public docstrings promise is there."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import clustersim
from clustersim.study.validation import registry

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PROMISE = re.compile(r"Checked by:\**(.*?)(?:\n\s*\n|\"\"\")", re.DOTALL)
PLACE = re.compile(r"(?:tests|docs|benchmarks|tools)(?:/[\w.-]+)*[\w/]")


def promises() -> Iterator[object]:
    """What each `Checked by:` of a source file names, up to the end of its paragraph."""
    for source in SOURCES:
        text = source.read_text()
        for match in PROMISE.finditer(text):
            line = text[: match.start()].count("\n") + 1
            yield pytest.param(match[1], id=f"{source.relative_to(ROOT / 'src')}:{line}")


def modules() -> list[str]:
    """Modules of the package that name what is public in them."""
    found = pkgutil.walk_packages(clustersim.__path__, prefix="clustersim.")
    return sorted(module.name for module in found if not module.name.endswith("__main__"))


@pytest.mark.parametrize("promise", list(promises()))
def test_what_checks_a_claim_exists(promise: str) -> None:
    for place in PLACE.findall(promise):
        assert (ROOT / place).exists(), place
    for name in re.findall(r"clustersim validate ([\w-]+)", promise):
        assert name in registry()
    assert PLACE.search(promise) or "clustersim validate" in promise


@pytest.mark.parametrize("module", modules())
def test_public_names_exist_and_are_explained(module: str) -> None:
    loaded = importlib.import_module(module)
    assert loaded.__doc__
    for name in getattr(loaded, "__all__", ()):
        thing = getattr(loaded, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), f"{module}.{name}"


@pytest.mark.parametrize("name", clustersim.__all__)
def test_the_face_of_the_package_is_explained(name: str) -> None:
    assert inspect.getdoc(getattr(clustersim, name)) or name == "__version__"
