# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The curves of a run, curves.csv: a row a training step, and one more for each validation."""

import csv
from pathlib import Path

from s2c_blender.errors import ENVIRONMENT, UserError
from s2c_blender.outputs import whole_file, write_failed

COLUMNS = (
    *("step", "split", "left", "right", "learning_rate", "norm", "seconds"),  # left, right: loss; norm: of the gradient
    *("pd_left", "pd_right", "acceleration_left", "acceleration_right", "fgd_left", "fgd_right"),
)


class Curves:
    """A file of curves that is open for more rows."""

    def __init__(self, path: Path, step: int):
        """Go on after `step`: later rows, of steps that are done again, are taken out."""
        rows = []
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if _whole(row) and int(row["step"]) <= step]
        with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        self._path = path
        self._file = path.open("a", newline="", encoding="utf-8", buffering=1)
        self._writer = csv.DictWriter(self._file, COLUMNS)

    def add(self, step: int, split: str, **values: float) -> None:
        """Write a row; UserError when the disk refuses it."""
        told = {name: f"{value:.6g}" for name, value in values.items()}
        try:
            self._writer.writerow({"step": step, "split": split, **told})
        except OSError as error:
            raise UserError(write_failed(self._path, error), ENVIRONMENT) from error

    def close(self) -> None:
        self._file.close()


def _whole(row: dict) -> bool:
    """Whether a row was written to its end."""
    return None not in row and None not in row.values() and row["step"].isdigit()
