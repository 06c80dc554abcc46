"""How long ratewise takes to answer when there is nothing to do.

    python benchmarks/startup.py                    # --help, against a bare interpreter
    python benchmarks/startup.py FILE OUT           # and a study that was run into OUT before

The limits: ``ratewise --help`` under 0.5 s; ``study run`` on a finished study under 3 s. The ratio
is to ``python -c pass`` on the same machine in the same run.
"""

from __future__ import annotations

import subprocess
import sys
import time

HELP_LIMIT_S, FINISHED_LIMIT_S = 0.5, 3.0


def best_seconds(command: list[str], rounds: int = 5) -> float:
    """The shortest of several runs of a command that must succeed."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> int:
    """Print the table; 1 if a limit is missed."""
    bare = best_seconds([sys.executable, "-c", "pass"])
    ratewise = [sys.executable, "-m", "ratewise"]
    rows = [("ratewise --help", best_seconds([*ratewise, "--help"]), HELP_LIMIT_S)]
    if len(sys.argv) == 3:
        run = [*ratewise, "study", "run", sys.argv[1], "--out", sys.argv[2]]
        rows.append(("study run, finished", best_seconds(run), FINISHED_LIMIT_S))
    print(f"{'command':24}{'seconds':>9}{'limit':>7}{'x bare python':>15}")
    for name, seconds, limit in rows:
        print(f"{name:24}{seconds:9.2f}{limit:7.1f}{seconds / bare:15.1f}")
    return int(any(seconds > limit for _, seconds, limit in rows))


if __name__ == "__main__":
    raise SystemExit(main())
