# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a pianist plays: posture, strokes, and what is stiff and what is loose. Lengths m, angles rad, times s."""

from dataclasses import dataclass, field

import numpy as np

from ..core.style import Style
from .kinematics import DOF


def _deg(*angles: float) -> np.ndarray:
    return np.radians(np.array(angles, float))


def _per_dof(wrist: list[float], thumb: list[float], finger: list[float]) -> np.ndarray:
    """[22] from values for the wrist's 6, the thumb's 4 and each finger's 3 entries of q."""
    return np.array(wrist + thumb + finger * 4, float)


def _fingers(value: float) -> np.ndarray:
    """[5] thumb .. little finger, all alike."""
    return np.full(5, value)


@dataclass(frozen=True)
class Performer:
    """Parameters of one pianist; the defaults are a relaxed, rather economical classical player.

    What concerns single fingers is [5], thumb .. little, so that thumb, index-middle and ring-little may differ.
    """

    # Posture (right hand): joint angles the hand falls back to and the height its wrist floats at.
    thumb: np.ndarray = field(default_factory=lambda: _deg(-8, 0, 8, 12))
    fingers: np.ndarray = field(  # index, middle, ring, little x (spread, MCP, PIP)
        default_factory=lambda: np.radians([[2, 18, 42], [0, 22, 44], [-2, 22, 42], [-5, 16, 34]])
    )
    wrist_height: float = 0.062
    wrist_pitch: float = np.radians(4.0)  # fingers' end up
    wrist_roll: float = np.radians(4.0)  # towards the little finger
    elbow_side: float = 0.27  # where the elbow hangs, right of the body's middle ...
    elbow_back: float = 0.36  # ... and in front of the keys' edge; the forearm's line gives the yaw
    elbow_follow: float = 0.55  # how much of the hand's way along the keyboard the elbow goes too

    # What a deviation from the posture costs (one standard deviation) ...
    posture_spread: np.ndarray = field(
        default_factory=lambda: np.r_[
            [0.030, 0.022, 0.012], _deg(7, 6, 10), _deg(14, 14, 18, 20), np.tile(_deg(7, 22, 20), 4)
        ]
    )
    # ... and what a change of velocity (per second squared) and of acceleration (per second cubed) costs.
    acceleration: np.ndarray = field(
        default_factory=lambda: _per_dof([2.5, 2.0, 0.7, 8, 7, 40], [45, 60, 45, 60], [40, 75, 45])
    )
    jerk: np.ndarray = field(
        default_factory=lambda: _per_dof([90, 70, 50, 300, 260, 1700], [2500, 3500, 2500, 3500], [2500, 5000, 3000])
    )
    tie: float = 1.8  # rad/s that neighbouring fingers' speeds differ easily: tendons and nerves tie them together
    wander: np.ndarray = field(default_factory=lambda: np.full(DOF, 0.25))  # slow variation, in standard deviations
    coupling: float = np.radians(12.0)  # how far neighbouring fingers come apart easily

    # Movements of the whole hand that the music does not ask for
    sway: float = 0.0  # standard deviation of the wrist's way to the sides, around fingers that stay in place
    bounce: float = 0.0  # how far the wrist dips with a tone of medium loudness; it comes up in between
    bounce_loud: float = 0.0  # more of it from pp to ff

    # Strokes
    lift: np.ndarray = field(default_factory=lambda: _fingers(0.010))  # peak height above the key before a stroke ...
    lift_loud: np.ndarray = field(default_factory=lambda: _fingers(0.010))  # ... more of it from pp to ff
    lift_fast: np.ndarray = field(default_factory=lambda: _fingers(0.010))  # ... and at 8 tones a second than at 2
    hover: np.ndarray = field(default_factory=lambda: _fingers(0.011))  # idle fingertips above the keys
    strike_time: np.ndarray = field(  # [5, 2] from the start of the key's descent to its bottom, pp and ff
        default_factory=lambda: np.tile([0.085, 0.035], (5, 1))
    )
    release_time: float = 0.055
    reach_early: float = 0.09  # the finger is above its key this long before the stroke, where there is time

    # Tolerances, as weights 1 / m^2 or 1 / rad^2
    contact: float = 1 / 0.0003**2
    aim: float = 1 / 0.0007**2
    clearance_weight: float = 1 / 0.0005**2
    collision_weight: float = 1 / 0.00025**2
    limit_weight: float = 1 / np.radians(0.25) ** 2
    hand_weight: float = 1 / 0.004**2
    clearance: float = 0.004
    joint_clearance: float = 0.012
    thumb_joint_clearance: float = 0.004
    finger_margin: float = 0.008  # half a fingertip: ramps beside the black keys
    finger_air: float = 0.0007
    finger_order: float = 0.009  # between the middles of neighbouring fingers, across the hand
    hand_air: float = 0.024

    @classmethod
    def of(cls, style: Style) -> "Performer":
        """The pianist that plays in a style with one hand."""
        wrist, thumb, strong, weak = style.wrist, style.thumb, style.index_middle, style.ring_little
        parts = (thumb, strong, strong, weak, weak)
        within = np.array([[2, -2, -1], [0, 2, 1], [-2, 3, 4], [-5, -3, -4]])  # spread, MCP, PIP within the pairs
        lifts = 1e-3 * np.array([part.lift for part in parts])
        wander = np.repeat([part.wander for part in (wrist, thumb, strong, weak)], (6, 4, 6, 6))
        return cls(
            thumb=np.radians([-8, 0, *thumb.curve]),
            fingers=np.radians(np.array([[0, *part.curve] for part in parts[1:]]) + within),
            wrist_height=1e-3 * wrist.height,
            wrist_pitch=np.radians(wrist.pitch),
            wrist_roll=np.radians(wrist.roll),
            elbow_side=wrist.elbow[0],
            elbow_follow=wrist.elbow[1],
            wander=wander,
            sway=1e-3 * wrist.sway,
            bounce=1e-3 * wrist.bounce[0],
            bounce_loud=1e-3 * wrist.bounce[1],
            lift=lifts[:, 0],
            lift_loud=lifts[:, 1],
            lift_fast=lifts[:, 2],
            hover=1e-3 * np.array([part.hover for part in parts]),
            strike_time=1e-3 * np.array([part.strike for part in parts], float),
        )

    @property
    def coupling_weight(self) -> float:
        """1 / rad^2 of the difference between neighbouring fingers."""
        return 1 / self.coupling**2

    def posture(self, wrist_x: np.ndarray, wrist_y: np.ndarray) -> np.ndarray:
        """Relaxed posture [N, 22] of the right hand with its wrist at x, y [N] (metres)."""
        q = np.zeros((len(wrist_x), DOF))
        q[:, 0], q[:, 1], q[:, 2] = wrist_x, wrist_y, self.wrist_height
        q[:, 3] = self.forearm_yaw(wrist_x, wrist_y)
        q[:, 4], q[:, 5] = self.wrist_pitch, self.wrist_roll
        q[:, 6:10] = self.thumb
        q[:, 10:] = self.fingers.ravel()
        return q

    def forearm_yaw(self, wrist_x: np.ndarray, wrist_y: np.ndarray) -> np.ndarray:
        """Direction of the forearm seen from above [N], positive to the left; the elbow follows the hand partly."""
        elbow_x = self.elbow_side + self.elbow_follow * (wrist_x - self.elbow_side)
        return -np.arctan2(wrist_x - elbow_x, wrist_y + self.elbow_back)


def both_hands(performer: Performer | tuple[Performer, Performer] | None) -> tuple[Performer, Performer]:
    """Who plays the left and who the right hand: the default player where nobody is named."""
    return performer if isinstance(performer, tuple) else (performer or Performer(),) * 2
