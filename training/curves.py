# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The curves of a run, curves.csv: a row a training step, and one more for each validation."""

import csv
from pathlib import Path

from s2c_blender.outputs import one_sentence, whole_file

COLUMNS = (
    *("step", "split", "left", "right", "learning_rate", "norm", "seconds"),  # left, right: loss; norm: of the gradient
    *("motion", "information", "kept", "critic", "values", "spied"),  # of style_vae.StyleStage
    *("pd_left", "pd_right", "acceleration_left", "acceleration_right", "fgd_left", "fgd_right"),
)


class Curves:
    """The file of a run's curves."""

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

    def add(self, step: int, split: str, **values: float) -> None:
        """Write a row; UserError when the disk refuses it."""
        told = {name: f"{value:.6g}" for name, value in values.items()}
        with one_sentence(self._path), self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS).writerow({"step": step, "split": split, **told})


def _whole(row: dict) -> bool:
    """Whether a row was written to its end."""
    return None not in row and None not in row.values() and row["step"].isdigit()
