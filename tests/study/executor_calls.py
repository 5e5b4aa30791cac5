"""Functions that worker processes can import by name."""

from __future__ import annotations

import os
import time
from pathlib import Path


def square(value: float) -> float:
    return value * value


def process_id(_: object) -> int:
    return os.getpid()


def square_or_fail(value: float) -> float:
    if value < 0:
        raise ValueError(f"no negative numbers, got {value}")
    return value * value


def die_at_three(value: int) -> int:
    if value == 3:
        os.abort()
    return value


def print_and_return(value: int) -> int:
    print("words on stdout")
    return value


def write_after_a_while(path: Path) -> None:
    if path.name != "now":
        time.sleep(30.0)
    path.write_text("done")


class UnpicklableError(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__("cannot be made again")


def raise_unpicklable(_: object) -> None:
    raise UnpicklableError(1, 2)


class Counting:
    """Adds, and says which process did and for which time."""

    def __init__(self, summand: int) -> None:
        self._summand = summand
        self._asked = 0

    def __call__(self, number: int) -> tuple[int, int, int]:
        self._asked += 1
        if number == 0:
            raise ValueError("no zero")
        if number < 0:
            os.abort()
        if number == 1000:
            time.sleep(60.0)
        return self._summand + number, os.getpid(), self._asked
