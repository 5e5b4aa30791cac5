"""Buckets: neighbouring layers whose gradients or parameters travel together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["fill_buckets"]


def fill_buckets(sizes: Sequence[float], *, bucket_bytes: float) -> Iterator[tuple[float, int]]:
    """Fill buckets in the order given; a bucket is closed as soon as it holds `bucket_bytes`.

    Yields the bytes of each bucket and how many items have to be there before it is complete; the
    last bucket takes what is left.

    Parameters
    ----------
    sizes
        Bytes of each item, in the order in which they become ready.

    **Source:** Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel
    Training", VLDB 2020, section 3.2.3 (25 MiB, reverse order of the layers).
    **Checked by:** tests/workloads/test_training_compile.py.
    """
    size_bytes, filled_by = 0.0, 0
    for number, item_bytes in enumerate(sizes, start=1):
        if item_bytes:
            size_bytes += item_bytes
            filled_by = number
        if size_bytes and size_bytes >= bucket_bytes:
            yield size_bytes, filled_by
            size_bytes = 0.0
    if size_bytes:
        yield size_bytes, filled_by
