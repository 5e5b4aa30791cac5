"""The fabric's solver and its loop over events, compiled by numba where it is installed (extra `fast`).

Nothing here imports numba before somebody needs it; `choice` says when that is.
"""
