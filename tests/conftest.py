"""Fixtures that tests of all layers share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Path of a reference file beside the checkout, or a skip that says it is absent."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"reference file shared/{name} is not beside this checkout")
        return path

    return find


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the source tree."""
    return ROOT
