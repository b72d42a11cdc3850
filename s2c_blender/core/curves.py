# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves over time: resampling of positions and rotations, continuous Euler angles, the travel of keys and pedal.

Quaternions are (w, x, y, z), unit length.
"""

import numpy as np

_FAR = 1.2  # rad that the middle Euler angle may have


def quaternions(rotvec: np.ndarray) -> np.ndarray:
    """Axis-angle [..., 3] rad -> quaternions [..., 4]."""
    angle = np.linalg.norm(rotvec, axis=-1, keepdims=True)
    return np.concatenate([np.cos(angle / 2), rotvec * (0.5 * np.sinc(angle / (2 * np.pi)))], axis=-1)


def rotvec(q: np.ndarray) -> np.ndarray:
    """Quaternions [..., 4] -> axis-angle [..., 3] rad, at most half a turn."""
    q = np.where(q[..., :1] < 0, -q, q)
    length = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(length, q[..., :1])
    return q[..., 1:] * np.where(length > 1e-12, angle / np.maximum(length, 1e-12), 2.0)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product of quaternions [..., 4], broadcast."""
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def conjugate(q: np.ndarray) -> np.ndarray:
    """Inverse rotation of unit quaternions [..., 4]."""
    return q * np.array([1.0, -1.0, -1.0, -1.0])


def one_sheet(q: np.ndarray) -> np.ndarray:
    """The same rotations [N, ..., 4] with signs such that neighbours in time lie on one side of the sphere."""
    turned = np.sum(q[1:] * q[:-1], axis=-1) < 0
    sign = np.where(np.cumsum(turned, axis=0) % 2, -1.0, 1.0)
    return np.concatenate([q[:1], q[1:] * sign[..., None]])


def sample(values: np.ndarray, fps: float, times: np.ndarray) -> np.ndarray:
    """A curve [N, ...] with `fps` samples a second, read at `times` [T] s by cubics through its samples -> [T, ...].

    Before the first and after the last sample the curve stands still.
    """
    u, p1, rise, m1, m2 = _cubics(values, fps, times)
    return p1 + u * (m1 + u * (3 * rise - 2 * m1 - m2 + u * (m1 + m2 - 2 * rise)))


def sample_with_slopes(values: np.ndarray, fps: float, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`sample`, and the slope a second at the same times: [T, ...] each."""
    u, p1, rise, m1, m2 = _cubics(values, fps, times)
    bend, twist = 3 * rise - 2 * m1 - m2, m1 + m2 - 2 * rise
    slopes = (m1 + u * (2 * bend + u * (3 * twist))) * fps
    place = np.asarray(times, float) * fps
    slopes[(place < 0) | (place > len(values) - 1)] = 0.0
    return p1 + u * (m1 + u * (bend + u * twist)), slopes


def _cubics(values: np.ndarray, fps: float, times: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of the piece at each time: place in it 0..1, where it begins, how far it rises, its slopes at both ends."""
    place = np.clip(np.asarray(times, float) * fps, 0.0, len(values) - 1.0)
    i = np.minimum(place.astype(int), max(len(values) - 2, 0))
    u = (place - i).reshape(-1, *[1] * (values.ndim - 1))
    last = len(values) - 1
    p0, p1, p2, p3 = (values[np.clip(i + k, 0, last)] for k in (-1, 0, 1, 2))
    return u, p1, p2 - p1, (p2 - p0) / 2, (p3 - p1) / 2


def sample_rotations(rotvec: np.ndarray, fps: float, times: np.ndarray) -> np.ndarray:
    """Rotations [N, J, 3] axis-angle, `fps` a second, read at `times` [T] s on the sphere -> quaternions [T, J, 4]."""
    q = sample(one_sheet(quaternions(rotvec)), fps, times)
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def euler_xyz(q: np.ndarray) -> np.ndarray:
    """Quaternions [N, ..., 4] -> XYZ Euler angles [N, ..., 3] rad (Blender's order) that never jump along N."""
    w, x, y, z = np.moveaxis(q, -1, 0)
    first = np.stack(
        [
            np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
            np.arcsin(np.clip(2 * (w * y - z * x), -1.0, 1.0)),
            np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
        ],
        axis=-1,
    )
    flat = np.unwrap(first.reshape(len(q), -1, 3), axis=0)
    # Far from where two of the axes fall together the first triple never jumps but by whole turns.
    for track in np.flatnonzero(np.abs(flat[:, :, 1]).max(axis=0) > _FAR):
        near = first.reshape(len(q), -1, 3)[:, track]
        second = near * [1, -1, 1] + np.pi  # the other triple for the same rotation
        flat[:, track] = _follow(np.stack([near, second]))
    return flat.reshape(first.shape)


def euler_slopes(q: np.ndarray, change: np.ndarray, euler: np.ndarray) -> np.ndarray:
    """How fast the XYZ Euler angles [..., 3] of quaternions [..., 4] turn while these change by `change` [..., 4].

    Where two angles can take each other's place (gimbal lock) their speeds have no bounds and are taken as nothing.
    """
    (w, x, y, z), (dw, dx, dy, dz) = np.moveaxis(q, -1, 0), np.moveaxis(change, -1, 0)
    twice = 2 / (w * w + x * x + y * y + z * z)
    spin_x = twice * (w * dx - dw * x - dy * z + dz * y)  # rad, about the fixed axes
    spin_y = twice * (w * dy - dw * y - dz * x + dx * z)
    spin_z = twice * (w * dz - dw * z - dx * y + dy * x)
    sin, cos = np.sin(euler[..., 1:]), np.cos(euler[..., 1:])
    flat = cos[..., 0]
    first = (cos[..., 1] * spin_x + sin[..., 1] * spin_y) * flat / np.maximum(flat * flat, 1e-6)
    return np.stack([first, cos[..., 1] * spin_y - sin[..., 1] * spin_x, spin_z + first * sin[..., 0]], axis=-1)


def _follow(choices: np.ndarray) -> np.ndarray:
    """Of two angle triples a moment [2, N, 3], the sequence [N, 3] with the smallest steps, whole turns undone."""
    chosen = np.zeros(choices.shape[1], int)
    step = _wrapped(choices[:, None, 1:] - choices[None, :, :-1])  # [to, from, N - 1, 3]
    to = np.abs(step).sum(axis=-1).argmin(axis=0)  # [from, N - 1]
    if to[0].any():
        for i in range(1, len(chosen)):
            chosen[i] = to[chosen[i - 1], i - 1]
    return np.unwrap(choices[chosen, np.arange(len(chosen))], axis=0)


def _wrapped(angle: np.ndarray) -> np.ndarray:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def travel(strokes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far something is pressed over time: times [P] s and depths [P] in 0..1, to be joined by straight lines.

    strokes [M, 4] s, sorted: starts down, is down, starts up, is up. Where a stroke begins before the one before has
    ended, the release is left where the two lines cross: a repeated note does not come up all the way.
    """
    times: list[float] = []
    depths: list[float] = []
    for down, bottom, up, top in strokes:
        bottom, up, top = max(bottom, down), max(up, bottom), max(top, up, bottom)
        if times and down < times[-1]:
            released, raised = times[-2], times[-1]
            fall = (raised - released) or 1e-9
            rise = (bottom - down) or 1e-9
            meet = (raised * rise + down * fall) / (rise + fall)
            del times[-1], depths[-1]
            if meet <= released:  # struck again before it was let go: it stays down
                del times[-1], depths[-1]
                times.append(max(up, released))
                depths.append(1.0)
                times.append(max(top, times[-1]))
                depths.append(0.0)
                continue
            times += [meet, bottom, up, top]
            depths += [(raised - meet) / fall, 1.0, 1.0, 0.0]
        else:
            times += [down, bottom, up, top]
            depths += [0.0, 1.0, 1.0, 0.0]
    return np.array(times), np.array(depths)
