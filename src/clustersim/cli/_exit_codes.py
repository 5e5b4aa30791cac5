"""Exit codes beyond those that errors carry (`ClusterSimError.exit_code`)."""

from __future__ import annotations

__all__ = ["BROKEN_PIPE", "BUG", "INTERRUPTED"]

BUG = 70
"""An exception that clustersim did not raise on purpose."""
INTERRUPTED = 130
"""Ctrl-C, as shells report it."""
BROKEN_PIPE = 141
"""The reader of stdout went away."""
