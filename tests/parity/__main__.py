# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.parity DIR`: a line a fixture with the largest error; exit code 1 when one is too large."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import metrics, names, position, sampler, unet
from .common import TOLERANCE, Check


def fixtures(folder: Path) -> dict[str, Callable[[], list[Check]]]:
    """Fixture -> what checks it, for all fixtures of a folder; their names begin with what they are."""
    found: dict[str, Callable[[], list[Check]]] = {}
    for path in sorted(folder.glob("*.json")):
        name = path.stem
        if name == "keys_full":
            found[name] = partial(names.check, folder)
        elif name == "metrics":
            found[name] = partial(metrics.check, folder)
        else:
            for start, module in (("unet", unet), ("sampler", sampler), ("position", position)):
                if name.startswith(start):
                    found[name] = partial(module.check, folder, name)
    return found


def main() -> int:
    """Check a folder; the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument("folder", type=Path, help="fixtures in the format of shared/parity")
    folder = parser.parse_args().folder
    checks = fixtures(folder)
    for name in sorted({path.stem for path in folder.glob("*.json")} - checks.keys()):
        print(f"not checked: {name}")
    if not checks:
        print("no fixtures there", file=sys.stderr)
        return 1
    failed = 0
    for fixture, check in checks.items():
        try:
            results = check()
            worst = max(results, key=lambda result: result[1] / result[2])
        except Exception as error:  # whatever one fixture ends with, the others are checked
            print(f"FAIL {fixture:<20} {type(error).__name__}: {error}")
            failed += 1
            continue
        bad = not all(error <= allowed for _, error, allowed in results)
        failed += bad
        what, error, allowed = worst
        looser = [f"; allowed {allowed:.0e} for {what}" for what, _, allowed in results if allowed > TOLERANCE]
        print(
            f"{'FAIL' if bad else 'ok  '} {fixture:<20} {len(results):4} compared, largest error {error:.1e} of "
            f"{allowed:.0e} allowed ({what}){''.join(looser)}"
        )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
