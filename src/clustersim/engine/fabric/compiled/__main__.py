"""`python -m clustersim.engine.fabric.compiled` compiles the kernel ahead of time."""

from __future__ import annotations

import sys
import time

from clustersim.engine.fabric.compiled.choice import usable


def main() -> int:
    """Compile what is not yet kept on disk, and say how long it took."""
    if not usable():
        print("numba is missing: pip install 'clustersim[fast]'", file=sys.stderr)
        return 2
    from clustersim.engine.fabric.compiled.kernel import fabric_entries, table_entries

    begin_s = time.perf_counter()
    table_entries()
    fabric_entries()
    print(f"the compiled fabric is ready, after {time.perf_counter() - begin_s:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
