"""How the kernel's functions are compiled, and how they find their tables. Imports numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core import cgutils, types
from numba.extending import intrinsic

from clustersim.engine.fabric.compiled.layout import (
    BUNDLE,
    CLASS,
    CROSSING,
    DONE,
    ENTRY,
    FLOW,
    HEADER,
    LINK,
    PAIR,
    ROUTE,
    SPANS,
    SPOT,
)

__all__ = [
    "Record",
    "accessor",
    "active_of",
    "bundle_spans_of",
    "bundles_of",
    "changed_of",
    "chosen_of",
    "classes_of",
    "crossings_of",
    "dirty_of",
    "done_of",
    "flows_of",
    "head_of",
    "holders_of",
    "inbox_of",
    "inner",
    "levels_of",
    "link_spans_of",
    "links_of",
    "log_of",
    "members_of",
    "queue_of",
    "routes_of",
    "shaken_of",
    "spots_of",
    "told_of",
    "touched_of",
]

Record = Any
"""One record of a table; writing to it writes to the table."""
_NO_WRAPPERS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Only entries are called from outside, and wrappers take a part of the time of compiling."""
Function = TypeVar("Function", bound=Callable[..., Any])


def inner(function: Function) -> Function:
    """Compile a function that only compiled functions call; it becomes part of them.

    Nothing in the kernel owns memory, so that counting references (`_nrt`) would only cost time.
    """
    return cast(Function, numba.njit(error_model="numpy", _nrt=False, **_NO_WRAPPERS)(function))


def accessor(function: Function) -> Function:
    """Compile a function that is a few instructions and always becomes part of its caller."""
    return cast(Function, numba.njit(forceinline=True, _nrt=True, **_NO_WRAPPERS)(function))


def _pointer(typing_context: Any, address: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), lower


_pointer.__doc__ = "Take a number as an address."
pointer: Any = intrinsic(_pointer)


_ENDLESS = 1 << 62
"""Length of every table as compiled code sees it: how long it really is, `layout.State` knows."""


@accessor
def head_of(s: int) -> Any:
    """Return the header of the state at address `s`, as a table of one record."""
    return numba.carray(pointer(s), 1, HEADER)


@accessor
def classes_of(s: int) -> Any:
    """Return the classes of flows."""
    return numba.carray(pointer(head_of(s)[0].classes_at), _ENDLESS, CLASS)


@accessor
def crossings_of(s: int) -> Any:
    """Return where classes cross bundles."""
    return numba.carray(pointer(head_of(s)[0].crossings_at), _ENDLESS, CROSSING)


@accessor
def bundles_of(s: int) -> Any:
    """Return the bundles of links."""
    return numba.carray(pointer(head_of(s)[0].bundles_at), _ENDLESS, BUNDLE)


@accessor
def bundle_spans_of(s: int) -> Any:
    """Return when bundles were saturated."""
    return numba.carray(pointer(head_of(s)[0].bundle_spans_at), _ENDLESS, SPANS)


@accessor
def link_spans_of(s: int) -> Any:
    """Return when links were saturated, before they were where they are now."""
    return numba.carray(pointer(head_of(s)[0].link_spans_at), _ENDLESS, SPANS)


@accessor
def flows_of(s: int) -> Any:
    """Return the flows alive."""
    return numba.carray(pointer(head_of(s)[0].flows_at), _ENDLESS, FLOW)


@accessor
def queue_of(s: int) -> Any:
    """Return the heap of completions."""
    return numba.carray(pointer(head_of(s)[0].queue_at), _ENDLESS, ENTRY)


@accessor
def levels_of(s: int) -> Any:
    """Return the heap of a filling."""
    return numba.carray(pointer(head_of(s)[0].levels_at), _ENDLESS, ENTRY)


@accessor
def members_of(s: int) -> Any:
    """Return the crossings on each bundle."""
    return numba.carray(pointer(head_of(s)[0].members_at), _ENDLESS, numba.int32)


@accessor
def active_of(s: int) -> Any:
    """Return the classes that have flows."""
    return numba.carray(pointer(head_of(s)[0].active_at), _ENDLESS, numba.int32)


@accessor
def dirty_of(s: int) -> Any:
    """Return the classes that flows came to or went from."""
    return numba.carray(pointer(head_of(s)[0].dirty_at), _ENDLESS, numba.int32)


@accessor
def shaken_of(s: int) -> Any:
    """Return the bundles whose capacity changed."""
    return numba.carray(pointer(head_of(s)[0].shaken_at), _ENDLESS, numba.int32)


@accessor
def chosen_of(s: int) -> Any:
    """Return the classes of F."""
    return numba.carray(pointer(head_of(s)[0].chosen_at), _ENDLESS, numba.int32)


@accessor
def touched_of(s: int) -> Any:
    """Return the bundles that F stands on."""
    return numba.carray(pointer(head_of(s)[0].touched_at), _ENDLESS, numba.int32)


@accessor
def done_of(s: int) -> Any:
    """Return the flows that finished."""
    return numba.carray(pointer(head_of(s)[0].done_at), _ENDLESS, DONE)


@accessor
def holders_of(s: int) -> Any:
    """Return what held back the classes that the last call was about."""
    return numba.carray(pointer(head_of(s)[0].holders_at), _ENDLESS, PAIR)


@accessor
def log_of(s: int) -> Any:
    """Return what moved."""
    return numba.carray(pointer(head_of(s)[0].log_at), _ENDLESS, numba.float64)


@accessor
def links_of(s: int) -> Any:
    """Return the links."""
    return numba.carray(pointer(head_of(s)[0].links_at), _ENDLESS, LINK)


@accessor
def routes_of(s: int) -> Any:
    """Return the route sets."""
    return numba.carray(pointer(head_of(s)[0].routes_at), _ENDLESS, ROUTE)


@accessor
def spots_of(s: int) -> Any:
    """Return the links of each route set."""
    return numba.carray(pointer(head_of(s)[0].spots_at), _ENDLESS, SPOT)


@accessor
def told_of(s: int) -> Any:
    """Return the route sets that lost their privacy."""
    return numba.carray(pointer(head_of(s)[0].told_at), _ENDLESS, numba.int32)


@accessor
def inbox_of(s: int) -> Any:
    """Return what Python hands over."""
    return numba.carray(pointer(head_of(s)[0].inbox_at), _ENDLESS, numba.float64)


@accessor
def changed_of(s: int) -> Any:
    """Return the route sets whose total rate changed."""
    return numba.carray(pointer(head_of(s)[0].changed_at), _ENDLESS, numba.int32)
