"""Fixtures of this layer's tests."""

from __future__ import annotations

import pytest
from collective_bench import Bench


@pytest.fixture(scope="session")
def bench() -> Bench:
    return Bench()
