"""Pydantic's findings as sentences: all problems of a document, each with its position."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from clustersim.errors import InputError, PathPart, Problem, did_you_mean
from clustersim.spec._base import FieldError
from clustersim.spec._models import by_kind, model_at, models_of
from clustersim.spec._places import NOWHERE, Place

__all__ = ["validate"]

# The one pattern in the models is that of names.
_NAME = "letters, digits, '-' and '_', a letter or digit first"
_LONGEST_SHOWN = 40


def validate(model: Any, data: Any, *, place: Place = NOWHERE, known: Sequence[Problem] = ()) -> Any:
    """Make a model of plain data.

    Parameters
    ----------
    model
        A spec model, or a union of them told apart by `kind`.
    data
        Mappings, lists and scalars, as a YAML file holds them.
    place
        Positions in the file; problems carry them.
    known
        Problems found before; told together with the new ones, which are left out where
        they only follow from a known one.

    Raises
    ------
    InputError
        With one problem for everything that is wrong, in the order of the file.
    """
    found: list[Problem] = []
    try:
        result = TypeAdapter(model).validate_python(data)
    except ValidationError as error:
        translated = (_problem(model, details) for details in error.errors(include_url=False))
        found = [problem for problem in translated if problem and not _follows(problem, known)]
    if found or known:
        raise InputError(sorted(map(place.locate, [*known, *found]), key=_by_position))
    return result


def _follows(problem: Problem, known: Sequence[Problem]) -> bool:
    return any(other.path and problem.path[: len(other.path)] == other.path for other in known)


def _by_position(problem: Problem) -> tuple[str, int, int]:
    return problem.file or "", problem.line or 0, problem.column or 0


def _problem(root: Any, details: ErrorDetails) -> Problem | None:
    """Translate one of pydantic's errors; None for one that only repeats another."""
    location = details["loc"]
    path, annotation = model_at(root, location)
    if details["type"] == "extra_forbidden":
        _, owner = model_at(root, location[:-1])
        return Problem(path, _unknown_field(root, location, owner))
    if details["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return _wrong_kind(path, annotation, details["input"])
    if details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]:
        return None
    cause = details.get("ctx", {}).get("error")
    field = cause.path if isinstance(cause, FieldError) else ()
    return Problem(path + field, _sentence(details))


def _unknown_field(root: Any, location: tuple[PathPart, ...], owner: Any) -> str:
    """Say what the field could have been: one of the model's, or one of a sibling kind's."""
    field = str(location[-1])
    models = models_of(owner)
    known = [name for model in models for name in model.model_fields]
    _, union = model_at(root, location[:-2])
    siblings = by_kind(union)
    others = sorted(kind for kind, model in siblings.items() if field in model.model_fields)
    if len(location) > 1 and location[-2] in siblings and others:
        return f"unknown field for kind '{location[-2]}'; it belongs to {_quoted(others)}"
    return f"unknown field.{did_you_mean(field, known)}"


def _wrong_kind(path: tuple[PathPart, ...], annotation: Any, data: Any) -> Problem:
    kinds = sorted(by_kind(annotation))
    if "kind" not in data:
        return Problem((*path, "kind"), f"required field is missing; it is one of {_quoted(kinds)}")
    kind = data["kind"]
    if not isinstance(kind, str):
        return Problem((*path, "kind"), f"expected one of {_quoted(kinds)}, got {_shown(kind)}")
    return Problem((*path, "kind"), f"unknown kind {_shown(kind)}.{did_you_mean(kind, kinds)}")


def _sentence(details: ErrorDetails) -> str:
    write = _SENTENCES.get(details["type"])
    if write is not None:
        return write(details["input"], details.get("ctx", {}))
    message = details["msg"]
    return message[:1].lower() + message[1:] + f", got {_shown(details['input'])}"


def _due(what: str) -> Callable[[Any, Mapping[str, Any]], str]:
    return lambda value, context: f"expected {what}, got {_shown(value)}"


def _bound(words: str, key: str) -> Callable[[Any, Mapping[str, Any]], str]:
    return lambda value, context: f"must be {words} {_number(context[key])}, got {_shown(value)}"


def _literal(value: Any, context: Mapping[str, Any]) -> str:
    choices = [choice.strip("'") for choice in str(context["expected"]).replace(" or ", ", ").split(", ")]
    hint = did_you_mean(value, choices) if isinstance(value, str) else ""
    if "Did you mean" not in hint:
        hint = f" It is {'one of ' if len(choices) > 1 else ''}{_quoted(choices)}."
    return f"unknown value {_shown(value)}.{hint}"


def _text(value: Any, context: Mapping[str, Any]) -> str:
    scalar = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"expected text, got {_shown(value)}" + (f"; write it in quotes: '{value}'" if scalar else "")


def _whole(value: Any, context: Mapping[str, Any]) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"expected a whole number, got {value!r}; write {int(value)}"
    return f"expected a whole number, got {_shown(value)}"


_SENTENCES: Mapping[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "missing": lambda value, context: "required field is missing",
    "value_error": lambda value, context: str(context["error"]),
    "int_type": _whole,
    "int_from_float": _whole,
    "float_type": _due("a number"),
    "bool_type": _due("true or false"),
    "string_type": _text,
    "model_type": _due("a mapping of fields"),
    "model_attributes_type": _due("a mapping of fields"),
    "tuple_type": _due("a list"),
    "finite_number": _due("a finite number"),
    "literal_error": _literal,
    "greater_than_equal": _bound("at least", "ge"),
    "greater_than": _bound("greater than", "gt"),
    "less_than_equal": _bound("at most", "le"),
    "less_than": _bound("less than", "lt"),
    "multiple_of": _bound("a multiple of", "multiple_of"),
    "string_too_short": lambda value, context: "must not be empty",
    "too_short": lambda value, context: f"must list at least {context['min_length']}, got {len(value)}",
    "string_pattern_mismatch": _due(_NAME),
}


def _shown(value: Any) -> str:
    """Write a value as the file has it, shortened."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = str(value)
    text = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    return f"'{text}'" if isinstance(value, str) else text


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
