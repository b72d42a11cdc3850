# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How well styles are told apart, followed and kept apart: what style_report.py puts into its table."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from s2c_blender.core.hand import forward_kinematics
from s2c_blender.core.notes import LEFT, RIGHT, Score
from s2c_blender.core.style import PARTS
from s2c_blender.model.config import FPS, StyleConfig
from s2c_blender.model.seen import MOTION, SEGMENT, own_channels, segments
from s2c_blender.model.style_encoder import StyleEncoder

from .clips import performer_of
from .lessons import Lesson
from .performers import KNOWN
from .style_data import ExcerptData, excerpt

SHOWN = 5 * FPS  # frames of a clip from which a style is to be taken
_STEPS, _BATCH, _RATE = 600, 32, 2e-3  # of the judge's training
_BEFORE, _AROUND = 12, 8  # frames before a stroke in which its finger is highest, around it in which the wrist bounces


def nearest_performer(
    encode: Callable[[np.ndarray], np.ndarray], clips: list[Lesson], unknown: list[Lesson]
) -> dict[str, float]:
    """Of the first SHOWN frames of `unknown` performers' clips, the share whose codes are nearest to their performer's.

    Loudness is not known in them, as when a style is copied from keyframes.
    encode: pieces [K, N, SEEN] -> codes [K, parts, width]. Each performer is the mean of the codes of their clips, the
    unknown one without the clip in question; distances count in spreads of the codes within a performer. `known`: the
    same of what `clips` show, all performers being known.
    """
    codes = {clip.name: _code(encode, clip, SHOWN, heard=False) for clip in (*clips, *unknown)}
    whole = {clip.name: _code(encode, clip, len(clip), heard=True) for clip in (*clips, *unknown)}
    of = defaultdict(list)
    for name in codes:
        of[performer_of(name)].append(name)
    means = {who: np.mean([whole[name] for name in names], axis=0) for who, names in of.items()}
    within = np.sqrt(np.mean([(codes[name] - means[performer_of(name)]) ** 2 for name in codes], axis=0)) + 1e-6
    found = {}
    for label, some in (("unknown", unknown), ("known", clips)):
        right = []
        for clip in some:
            who = performer_of(clip.name)
            others = [name for name in of[who] if name != clip.name]
            if not others:
                continue
            centres = means | {who: np.mean([whole[name] for name in others], axis=0)}
            far = {name: np.linalg.norm((codes[clip.name] - mean) / within) for name, mean in centres.items()}
            right.append(min(far, key=far.__getitem__) == who)
        found[label] = float(np.mean(right)) if right else float("nan")
    return found


def _code(encode, clip: Lesson, frames: int, heard: bool) -> np.ndarray:
    """Mean code [2 * parts * width] of the beginning of a clip; not `heard`, its notes are of one loudness."""
    frames = min(frames, len(clip))
    return np.concatenate(
        [encode(segments(excerpt(clip, side, 0, frames, heard))).mean(axis=0).ravel() for side in (LEFT, RIGHT)]
    )


class Judge:
    """Networks that name the performer of each part of a hand by what that part itself does.

    They are trained on performers' own motion, not on a model's.
    """

    def __init__(self, data: ExcerptData, tell: Callable[[str], None] = lambda line: None, seed: int = 0):
        """Learn from the named performers' clips of the training split."""
        named = [i for i, clip in enumerate(data.clips) if performer_of(clip.name) in KNOWN]
        self.names = sorted({performer_of(data.clips[i].name) for i in named})
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        self.networks: nn.Module = StyleEncoder(  # its means are logits
            StyleConfig("parts", len(self.names), 48), own_channels
        )
        mean, spread = data.usual()
        self.networks.offset.copy_(torch.from_numpy(mean))
        self.networks.scale.copy_(torch.from_numpy(spread))
        learned = [value for value in self.networks.parameters() if value.requires_grad]
        optimiser = torch.optim.AdamW(learned, _RATE, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=_STEPS)
        for step in range(_STEPS):
            chosen = [data.clips[i] for i in rng.choice(named, _BATCH)]
            latest = [max(len(clip) - SEGMENT, 0) for clip in chosen]
            seen = [
                excerpt(clip, int(rng.integers(2)), int(rng.integers(last + 1)), SEGMENT)
                for clip, last in zip(chosen, latest, strict=True)
            ]
            who = torch.tensor([self.names.index(performer_of(clip.name)) for clip in chosen])
            logits = self.networks(torch.from_numpy(np.stack(seen)))[0]  # [B, parts, performers]
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), who.repeat_interleave(len(PARTS)))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            if (step + 1) % 200 == 0:
                tell(f"judge: step {step + 1} of {_STEPS}, cross entropy {loss.item():.2f}")
        self.networks.eval()

    @torch.inference_mode()
    def names_of(self, seen: np.ndarray) -> list[str]:
        """Who moves each part in what is seen of one hand [N, SEEN]: the mean over its pieces decides."""
        logits = self.networks(torch.from_numpy(segments(seen)))[0].softmax(dim=2).mean(dim=0)
        return [self.names[i] for i in logits.argmax(dim=1).tolist()]


def statistics(seen: np.ndarray) -> list[np.ndarray]:
    """What can be said of each part's motion in what is seen of a hand [N, SEEN]: means, spreads, spreads of change."""
    found = []
    for part in PARTS:
        own = own_channels(part)
        motion, change = seen[:, own], seen[:, [MOTION + c for c in own]]
        found.append(np.concatenate([motion.mean(axis=0), motion.std(axis=0), change.std(axis=0)]))
    return found


def responses(position: np.ndarray, rotation: np.ndarray, score: Score, side: int) -> np.ndarray:
    """Of each of a hand's strokes that lies within the motion, [M, 5].

    Loudness (velocity / 127), how many strokes there are in the second around it, how far its finger was lifted (m),
    how fast it comes down (m/s), and how far the wrist moves up and down around it (m).
    """
    notes = score.notes[score.notes["hand"] == side]
    pads = forward_kinematics(position, rotation.reshape(-1, 16, 3), left=side == LEFT)[1]  # [N, 5, 3]
    onset = notes["onset"]
    found = []
    for note in notes:
        frame = round(float(note["onset"]) * FPS)
        if not (_BEFORE <= frame < len(position) - _AROUND and 0 <= note["finger"] < 5):
            continue
        way = pads[frame - _BEFORE : frame + 2, note["finger"], 2]
        around = position[frame - _AROUND : frame + _AROUND + 1, 2]
        dense = np.count_nonzero(np.abs(onset - note["onset"]) < 0.5)
        found.append((note["velocity"] / 127, dense, way.max() - way[-2], -np.diff(way).min() * FPS, np.ptp(around)))
    return np.array(found).reshape(-1, 5)


def correlations(strokes: list[np.ndarray]) -> dict[str, float]:
    """Pearson's r between loudness or density and lift, speed and bounce, over groups of strokes [M, 5] (`responses`).

    Within each group (a clip's hand) by itself, then averaged over the groups with Fisher's transformation.
    """
    found = {}
    for cue, i in (("loudness", 0), ("density", 1)):
        for response, j in (("lift", 2), ("speed", 3), ("bounce", 4)):
            pairs = [(g[:, i], g[:, j]) for g in strokes if len(g) > 8]
            r = [np.corrcoef(a, b)[0, 1] for a, b in pairs if a.std() > 1e-9 and b.std() > 1e-9]
            found[f"{cue} to {response}"] = float(np.tanh(np.mean(np.arctanh(np.clip(r, -0.999, 0.999))))) if r else 0.0
    return found
