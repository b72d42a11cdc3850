# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the figures of clips and seeds to tables: means, spread over seeds, intervals over pieces; JSON and Markdown."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .players import Scored
from .published_metrics import feature_distance, frechet_feature_distance

DRAWS, FEATURE_DRAWS = 2000, 500  # of the bootstrap; a Frechet distance of features takes milliseconds
INTERVAL = 2.5, 97.5  # percent

# name: what the table calls it, and its decimals
ROWS = {
    "fgd": ("FGD, windows of 8 s (rad²)", 3),
    "fgd_left": ("- left hand", 3),
    "fgd_right": ("- right hand", 3),
    "wgd": ("WGD", 4),
    "wgd_left": ("- left hand", 4),
    "wgd_right": ("- right hand", 4),
    "pd_xy_mm": ("PD, x and y as published (mm)", 1),
    "pd_xy_mm_left": ("- left hand", 1),
    "pd_xy_mm_right": ("- right hand", 1),
    "pd_predicted_mm": ("PD of the predicted positions, before the diffusion moves the wrists (mm)", 1),
    "pd_predicted_mm_left": ("- left hand", 1),
    "pd_predicted_mm_right": ("- right hand", 1),
    "smoothness": ("Smoothness (rad)", 3),
    "fid2": ("FID2", 3),
    "f_dist": ("F_dist", 2),
    "fgd_clip": ("FGD, whole clips (rad²)", 3),
    "pd_left_mm": ("PD in space, left (mm)", 1),
    "pd_right_mm": ("PD in space, right (mm)", 1),
    "offset_left_mm": ("mean place beside the performer's, left (mm)", 1),
    "offset_right_mm": ("mean place beside the performer's, right (mm)", 1),
    "onset_near": ("onsets with a fingertip within 25 mm of the key", 3),
    "onset_near_finger": ("- with the performer's finger", 3),
    "onset_distance_mm": ("fingertip to key at onsets (mm)", 1),
    "velocity_ratio_poses": ("velocity of poses / performer's", 3),
    "velocity_ratio_wrists": ("velocity of wrists / performer's", 3),
    "acceleration_ratio_poses": ("acceleration of poses / performer's", 3),
    "acceleration_ratio_wrists": ("acceleration of wrists / performer's", 3),
    "spread_ratio_poses": ("spread of poses / performer's", 3),
    "diversity_deg": ("diversity between seeds, poses (degrees)", 2),
    "diversity_wrists_mm": ("diversity between seeds, wrists (mm)", 2),
    "key_f1": ("key F1", 4),
    "key_precision": ("key precision", 4),
    "key_recall": ("key recall", 4),
    "wrong_per_minute": ("wrong presses a minute", 2),
    "onset_error_ms": ("onset error (ms)", 2),
    "contact_mean_mm": ("contact error, mean (mm)", 3),
    "contact_p95_mm": ("contact error, 95th percentile (mm)", 3),
    "limit_excess_deg": ("beyond joint limits, worst (degrees)", 4),
    "finger_depth_mm": ("fingers into each other, worst (mm)", 3),
    "fingertip_speed_max": ("fastest fingertip (m/s)", 2),
    "finger_lead_ms": ("anticipation, fingers: peak before onset, median (ms)", 0),
    "finger_lead_spread_ms": ("- between quartiles (ms)", 0),
    "wrist_lead_ms": ("anticipation, wrists: set out before onset, median (ms)", 0),
    "wrist_lead_spread_ms": ("- between quartiles (ms)", 0),
    "jerk_wrists": ("jerk of wrists (m/s³)", 1),
    "jerk_fingertips": ("jerk of fingertips (m/s³)", 1),
    "real_time": ("times real time", 1),
}


@dataclass(frozen=True)
class Column:
    """All that one player did: its performances of each clip, with each seed."""

    name: str
    scores: list[list[Scored]]  # [clips][seeds]

    @property
    def names(self) -> list[str]:
        """Figures that are known of any performance."""
        return list(dict.fromkeys(name for clip in self.scores for score in clip for name in score.figures))

    def ratios(self, draws: np.ndarray) -> dict[str, np.ndarray]:
        """Every figure [D, S] over each of D draws, how often each clip is in it [D, clips]: sums over counts."""
        found = {}
        for name in self.names:
            pairs = np.array([[score.figures.get(name, (0.0, 0.0)) for score in clip] for clip in self.scores])
            sums = np.einsum("dc,csp->dsp", draws, pairs)
            with np.errstate(invalid="ignore", divide="ignore"):
                found[name] = sums[..., 0] / sums[..., 1]
        return found

    def gestures(self, real: list[np.ndarray], draw: np.ndarray) -> dict[str, np.ndarray]:
        """FID2 and F_dist [S] to the performers' features (a clip each) over the windows of one draw [clips]."""
        clips = np.repeat(np.arange(len(draw)), draw)
        with_features = [clip for clip in clips if len(real[clip]) and all(len(s.features) for s in self.scores[clip])]
        if not with_features:
            return {}
        theirs = np.concatenate([real[clip] for clip in with_features])
        seeds = range(len(self.scores[0]))
        ours = [np.concatenate([self.scores[clip][seed].features for clip in with_features]) for seed in seeds]
        found = {"f_dist": np.array([feature_distance(theirs, features) for features in ours])}
        if len(theirs) > 1:
            found["fid2"] = np.array([frechet_feature_distance(theirs, features) for features in ours])
        return found


@dataclass(frozen=True)
class Table:
    """Players beside each other on the same clips."""

    title: str
    columns: list[Column]
    pairs: list[tuple[str, str]]  # whose figures are compared, first minus second
    real: list[np.ndarray]  # gesture features [windows, F] of the performers, a clip each
    pieces: list[str]  # what is played, a clip each: clips of one piece are alike and are drawn together

    def as_dict(self) -> dict:
        """Mean and deviation over seeds of every figure, and the compared columns' differences with their interval."""
        by_name = {column.name: column for column in self.columns}
        return {
            "title": self.title,
            "figures": {column.name: self._spread(column) for column in self.columns},
            "differences": {f"{a} - {b}": self._difference(by_name[a], by_name[b]) for a, b in self.pairs},
        }

    def _spread(self, column: Column) -> dict[str, dict[str, float | None]]:
        all_once = np.ones(len(column.scores), int)
        values = {name: value[0] for name, value in column.ratios(all_once[None]).items()}  # [S]
        values |= column.gestures(self.real, all_once)
        return {
            name: {"mean": _finite(v.mean()), "sd": _finite(v.std(ddof=1)) if len(v) > 1 else None}
            for name, v in values.items()
        }

    def _difference(self, a: Column, b: Column) -> dict[str, dict[str, float | None]]:
        """Mean over seeds of a's figures minus b's, and 95 % of what other draws of the same pieces give."""
        pieces, piece_of = np.unique(self.pieces, return_inverse=True)
        count = len(pieces)
        drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), DRAWS)[:, piece_of]
        draws = np.concatenate([np.ones((1, len(a.scores)), int), drawn])
        ours, theirs = a.ratios(draws), b.ratios(draws)
        values_of = {
            name: ours[name].mean(axis=1) - theirs[name].mean(axis=1)
            for name in ours
            if name in theirs and name != "real_time"
        }
        some = [[column.gestures(self.real, draw) for draw in draws[: FEATURE_DRAWS + 1]] for column in (a, b)]
        for name in (name for name in some[0][0] if name in some[1][0]):
            both = [(x[name].mean(), y[name].mean()) for x, y in zip(*some, strict=True) if name in x and name in y]
            values_of[name] = np.array([x - y for x, y in both])
        found = {}
        for name, values in values_of.items():
            known = values[1:][np.isfinite(values[1:])]
            low, high = np.percentile(known, INTERVAL) if count > 1 and len(known) else (np.nan, np.nan)
            found[name] = {"mean": _finite(values[0]), "low": _finite(low), "high": _finite(high)}
        return found


def _finite(value: float) -> float | None:
    """A number that JSON knows."""
    return float(value) if np.isfinite(value) else None


def markdown(result: dict) -> str:
    """The report as a person reads it."""
    lines = ["# Evaluation", "", *(f"* {note}" for note in result["notes"]), ""]
    for table in result["tables"]:
        lines += [f"## {table['title']}", "", "Mean ± standard deviation over seeds.", ""]
        lines += _grid(table["figures"], _mean)
        for title, difference in table["differences"].items():
            lines += [
                "",
                f"### {title}",
                "",
                "Difference and its 95 % interval over pieces (bootstrap); *: it leaves out 0.",
                "",
            ]
            lines += _grid({"difference": difference}, _interval)
        lines += [""]
    if result["skipped"]:
        lines += ["## Clips left out", "", *(f"* {clip}: {reason}" for clip, reason in result["skipped"].items()), ""]
    return "\n".join(lines)


def _grid(columns: dict[str, dict[str, dict]], cell: Callable[[dict, int], str]) -> list[str]:
    """Lines of a table with a row for each figure that any column has, in the order of ROWS."""
    names = [name for name in ROWS if any(name in figures for figures in columns.values())]
    return [
        _line(["", *columns]),
        _line(["---", *["---:"] * len(columns)]),
        *(_line([ROWS[n][0], *(cell(c[n], ROWS[n][1]) if n in c else "–" for c in columns.values())]) for n in names),
    ]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _mean(cell: dict, digits: int) -> str:
    return _number(cell["mean"], digits) + ("" if cell["sd"] is None else f" ± {cell['sd']:.{digits}f}")


def _interval(cell: dict, digits: int) -> str:
    if cell["low"] is None:
        return _number(cell["mean"], digits)
    sure = " *" if cell["low"] > 0 or cell["high"] < 0 else ""
    return f"{_number(cell['mean'], digits)} [{cell['low']:.{digits}f}, {cell['high']:.{digits}f}]{sure}"
