"""The long crash test: `python -m tests.crash --kills 100`. It says a line for each kill, and leaves with status 1 if
a promise was broken; then the broker's data and log stay where it says.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.harness import Crash, Plan


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description="Kill a broker under load, many times.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", default=os.environ.get("LEVERET_CRASH_SEED", str(time.time_ns() % 1_000_000)))
    parser.add_argument("--folder", type=Path, help="where the broker's data and log go (default: a temporary folder)")
    parser.add_argument("--longest", type=float, default=2.0, metavar="SECONDS", help="of a life (default: 2)")
    parser.add_argument("--drain-every", type=int, default=20, metavar="KILLS", help="(default: 20)")
    parser.add_argument("--rehearse", type=int, metavar="PORT", help="one life without a kill, with a running broker")
    parser.add_argument("--keep-going", action="store_true", help="don't stop at the first violation")
    parser.add_argument("arguments", nargs="*", help="more arguments for leveret serve, after --")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="leveret-crash-"))
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        given.seed,
        given.kills,
        longest=given.longest,
        drain_every=given.drain_every,
        keep_going=given.keep_going,
        arguments=tuple(given.arguments),
    )
    crash = Crash(plan, folder)
    if given.rehearse is not None:
        crash.rehearse(given.rehearse, given.longest)
    else:
        crash.run()
    print(crash.summary())
    if crash.ledger.violation_counts:
        print(f"seed {plan.seed}: see {folder}")
        return 1
    if given.folder is None:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
