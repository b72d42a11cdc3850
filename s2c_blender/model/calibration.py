# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the keyboard lies in the published model's camera frame, found from the notes played under the hands.

Neither the hand nor the finger of a note is known, and wrist positions are wrong by some 3 cm, but all fingertips of a
hand are wrong together. So the fingers of a chord, their heights and their fall before the onset tell which of them may
have struck; each such guess says where the wrist must have been over the keys. Expectation-maximisation weighs the
guesses and fits the camera, from several starts. The residual is taken in the camera's frame, where the noise is: the
other way round the noise would shrink the scale.

A bias that both hands' positions share ends up in the offset, where it does no harm. Opposite biases of the two hands
look like another scale and cannot be told from it. How deep fingers reach into the keys is known only from our own
pianist (striking.DEPTH): a player who plays 1 cm deeper everywhere is placed 1 cm too far out.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.spatial.transform import Rotation

from ..core import keyboard
from . import striking
from .camera import CENTRE, Camera
from .mano import Mano
from .matching import Fit, evidence_of, fit_camera
from .striking import Seen

_NOISE = 0.03  # m, first guess of the wrist's error along each axis
_STARTS, _QUICK, _ROUNDS = 4, 150, 14  # starts of the search, chords they look at, rounds of the final fit
_TOO_FEW, _FEW = 8, 30  # notes
_UNSURE = 0.9  # confidence below which a warning is given
_VAGUE = 0.010  # m of expected error above which one is given too
_FAINT = 0.004  # m by which playing fingers fall, on average, in motion that plays at all
_WRIST = (-0.084, 0.053)  # m: y and z of our pianist's wrists, on average
_FLOOR = 0.0025  # m of error that more music does not remove: fingers rest where they like


@dataclass(frozen=True)
class Calibration:
    """The camera, and how far to trust it."""

    camera: Camera
    error: float  # m, expected mean error of the played part of the keyboard, if `confidence` is high
    confidence: float  # 0..1, that no neighbouring place (one key to the side) explains the notes as well
    spread: (
        np.ndarray
    )  # [3] m, standard deviation of the wrists, as they are when notes begin, from where these put them
    unexplained: float  # share of chords that no finger of the hands seems to play
    warnings: list[str] = field(default_factory=list)


def calibrate(
    left: tuple[np.ndarray, np.ndarray],
    right: tuple[np.ndarray, np.ndarray],
    notes: np.ndarray,
    mano: Mano,
    fps: float = 30.0,
) -> Calibration:
    """Find the keyboard under hands in the camera's frame.

    left, right: translation [N, 3] in camera units and pose [N, 48] rad as the published model means them; notes: NOTE
    array, s from frame 0 (hand and finger are not looked at). With too little music, or hands that do not play it, the
    camera is that of `_assumed`, and `warnings` say so.
    """
    seen = striking.look((left, right), fps, notes, mano)
    heard = sum(len(pitch) for pitch in seen.pitches)
    if heard < _TOO_FEW:
        return _assumed(seen, (left, right), mano, f"Only {heard} notes lie under the hands")
    centre = seen.wrist.mean((0, 1))
    some = _part(seen, _QUICK)
    places = [fit_camera(some, _start(some, centre, *start), 8) for start in _coarse(some, centre)]
    best = max(places, key=lambda fit: fit.likelihood)
    for step in (-2, -1, 1, 2):  # neighbouring fingers on neighbouring keys explain the notes almost as well
        beside = replace(best, offset=best.offset + [step * keyboard.WHITE_PITCH, 0.0, 0.0])
        places.append(fit_camera(some, beside, 6))
    best = max(places, key=lambda fit: fit.likelihood)
    fit = fit_camera(seen, best, _ROUNDS)
    if fit.unexplained > 0.5:
        return _assumed(seen, (left, right), mano, "The hands do not seem to play these notes")
    covariance, inflation = _covariance(fit, seen)
    error = float(np.hypot(_expected_error(fit, covariance, seen), _FLOOR * np.sqrt(fit.looseness.max())))
    others = [(other.likelihood - best.likelihood) / inflation for other in places if _elsewhere(other, best)]
    confidence = float(1.0 / (1.0 + np.exp(others).sum()))
    warnings = []
    if heard < _FEW:
        warnings.append(f"Only {heard} notes lie under the hands: where the keyboard is could only be guessed.")
    if fit.stroke < _FAINT:
        warnings.append("The fingers hardly move when notes begin: the hands may be off by some keys.")
    elif confidence < _UNSURE:
        warnings.append("The hands do not tell clearly which keys they play: they may be off by a key or more.")
    elif error > _VAGUE:
        told = f"The keyboard's place under the hands is known to about {1e3 * error:.0f} mm only"
        warnings.append(f"{told}; longer music would tell more.")
    spread = fit.spread(seen.frames.mean())
    return Calibration(fit.camera(seen.upside_down), error, confidence, spread, fit.unexplained, warnings)


def _assumed(seen: Seen, hands: tuple, mano: Mano, why: str) -> Calibration:
    """What is believed without evidence: a camera unit is a metre, the camera looks straight down, fingers are on the
    keys, and the middle between the hands is over the middle of the notes, or of the keyboard when there are none."""
    wrists = [translation + mano.root for translation, _ in hands if len(translation)]
    middle = np.mean([wrist.mean(0) for wrist in wrists], axis=0) * [0, 1, 1] if wrists else CENTRE
    if len(wrists) == 2:
        middle[0] = (wrists[1][:, 0].mean() - wrists[0][:, 0].mean()) / 2  # the left hand is stored in a mirror
    keys = np.concatenate(seen.pitches) if seen.pitches else np.zeros(0, int)
    x = keyboard.key_x(keys).mean() if len(keys) else 0.0
    camera = Camera(upside_down=seen.upside_down)
    camera = replace(camera, offset=np.array([x, *_WRIST]) - camera.to_piano(middle))
    told = f"{why}: the keyboard is assumed in the middle below them."
    return Calibration(camera, 0.2, 0.0, np.full(3, _NOISE), 1.0, [told])


def _part(seen: Seen, count: int) -> Seen:
    """At most `count` chords, evenly spread."""
    which = np.unique(np.linspace(0, len(seen.time) - 1, min(count, len(seen.time))).astype(int))
    arrays = {name: getattr(seen, name)[which] for name in ("time", "frames", "wrist", "reach", "fall")}
    return replace(seen, pitches=[seen.pitches[i] for i in which], **arrays)


def _coarse(seen: Seen, centre: np.ndarray) -> list[tuple[float, float]]:
    """Scales and x offsets (m) at which fingers that look as if they struck lie over the sounding keys, best first."""
    level = striking.bins(seen.reach, seen.fall)
    evidence = evidence_of(striking.SHARES)[np.arange(2)[:, None, None, None], level].sum(0).reshape(-1, 10)
    chord = np.repeat(np.arange(len(seen.pitches)), [len(p) for p in seen.pitches])
    key = keyboard.key_x(np.concatenate(seen.pitches))
    wrist = np.repeat((seen.wrist - centre)[..., 0], 5, axis=1)[chord]  # [notes, 10]
    aside = key[:, None] - seen.reach[..., 0].reshape(-1, 10)[chord]
    scales = np.geomspace(0.5, 2.0, 17)
    offsets = key.mean() + np.arange(-0.3, 0.3, keyboard.WHITE_PITCH / 2)
    score = np.empty((len(scales), len(offsets)))
    for i, scale in enumerate(scales):
        miss = (aside - scale * wrist) - offsets[:, None, None]  # [offsets, notes, 10]
        chance = np.exp(evidence[chord] - 0.5 * (miss / 0.04) ** 2).sum(-1)
        score[i] = np.log(chance + 0.02).sum(-1) + 0.5 * len(key) * np.log(scale)
    found = []
    for _ in range(_STARTS):
        i, j = np.unravel_index(score.argmax(), score.shape)
        found.append((float(scales[i]), float(offsets[j])))
        score[max(i - 2, 0) : i + 3, max(j - 2, 0) : j + 3] = -np.inf
    return found


def _start(seen: Seen, centre: np.ndarray, scale: float, x: float) -> Fit:
    """A camera that looks straight down, with the lowest fingertips at the usual depth just below the keys' tops."""
    lowest = np.take_along_axis(seen.reach, seen.reach[..., 2].argmin(-1)[..., None, None], axis=2)[:, :, 0]
    tips = np.median((scale * (seen.wrist - centre) + lowest).reshape(-1, 3), axis=0)
    offset = np.array([x, striking.DEPTH.mean() - tips[1], -0.004 - tips[2]])
    variance = np.full((2, 3), _NOISE**2 / scale**2)
    return Fit(centre, scale, offset, np.zeros(3), np.zeros((2, 5)), variance, striking.SHARES, np.ones(3))


def _covariance(fit: Fit, seen: Seen) -> tuple[np.ndarray, float]:
    """Covariance [17, 17] of the parameters, and how much larger it is than if the noise were fresh at each chord.

    Noise that lasts is seen in the sums of the residuals' pulls over two seconds.
    """
    jacobian, residual, chord, normal = fit.normal
    span = (seen.time[chord] / 2.0).astype(int)
    pull = np.zeros((span.max() + 1, jacobian.shape[1]))
    np.add.at(pull, span, jacobian * residual[:, None])
    inverse = np.linalg.inv(normal)
    spread = inverse @ (pull.T @ pull) @ inverse
    spans = len(np.unique(span))
    freedom = spans / max(spans - 7.0, 1.0)  # the fit has already bent towards the noise
    inflation = max(np.trace(spread[:7, :7] / inverse[:7, :7]) / 7.0 * freedom, 1.0)
    return inverse * inflation, float(inflation)


def _expected_error(fit: Fit, covariance: np.ndarray, seen: Seen) -> float:
    """Mean standard error (m) of points on the keys that were played."""
    key = np.unique(np.concatenate(seen.pitches))
    points = np.stack(
        [np.repeat(keyboard.key_x(key), 3), np.tile([0.0, 0.05, 0.1], len(key)), np.zeros(3 * len(key))], 1
    )
    apart = points - fit.offset
    moved = np.zeros((7, *points.shape))
    moved[0] = apart
    moved[1:4] = np.eye(3)[:, None]
    for i, step in enumerate(1e-5 * np.eye(3)):
        turn = Rotation.from_euler("ZYX", fit.angles + step).as_matrix() @ fit.turn.T
        moved[4 + i] = (apart @ turn.T - apart) / 1e-5
    return float(np.sqrt(np.einsum("ipc,ij,jpc->p", moved, covariance[:7, :7], moved)).mean())


def _elsewhere(one: Fit, other: Fit) -> bool:
    """Whether two fits put the keyboard in places that are more than a centimetre apart."""
    return bool(np.abs(one.offset - other.offset).max() + 0.2 * abs(np.log(one.scale / other.scale)) > 0.01)
