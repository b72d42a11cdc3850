# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transkun network without PyTorch: network.Network as ONNX files, run by ONNX Runtime.

tools/onnx_export.py makes the files. What is quicker or plainer outside of them is NumPy and SciPy: the spectra before
the network, the exact decoding after it.
"""

from pathlib import Path

import numpy as np
from scipy import fft

from .device import cores, open_network
from .events import EVENTS, Event, as_events, best_choices, intervals

BUNDLED = Path(__file__).parent / "bundled"
HEARS, DESCRIBES = BUNDLED / "transcriber.onnx", BUNDLED / "transcriber_events.onnx"


class OnnxNetwork:
    """network.Network's sibling: the same windows, the same answers but for rounding."""

    def __init__(self, hears: Path = HEARS, describes: Path = DESCRIBES):
        """Raises UserError when a file cannot be used."""
        self._hears, noted = open_network(hears)
        self._describes, _ = open_network(describes)
        self.rate, self.hop, self.frame, self.window = (noted[name] for name in ("rate", "hop", "frame", "window"))
        self._windows = analysis_windows(self.frame, noted["center"], noted["sigma"])

    def listen(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Hear one window of samples [n * hop], n = self.window.

        -> features [90, n + 1, D], lone frames [n + 1, 90] and choices [n, 90], as network.Network.listen.
        """
        features, lone, *scores = self._hears.run(None, {"power": self.spectra(samples)})
        return features, best_choices(scores, lone), (lone > 0).T

    def spectra(self, samples: np.ndarray) -> np.ndarray:
        """Power spectra [6, n + 1, frame / 2 + 1] of a window's samples [n * hop], one for each analysis window."""
        padded = np.pad(samples, self.frame // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.frame)[:: self.hop]
        mean, spread = frames.mean(dtype=np.float64), frames.std(dtype=np.float64, ddof=1)
        padded = ((padded - np.float32(mean)) / np.float32(spread + 1e-8)).astype(np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.frame)[:: self.hop]
        power = np.empty((len(self._windows), len(frames), self.frame // 2 + 1), np.float32)
        for k, window in enumerate(self._windows):
            spectrum = fft.rfft(frames * window, norm="ortho", workers=cores() or 1)
            power[k] = np.square(spectrum.real) + np.square(spectrum.imag)
        return power

    def events(
        self, features: np.ndarray, choices: np.ndarray, lone: np.ndarray, first: np.ndarray
    ) -> tuple[list[Event], np.ndarray]:
        """The events of a window and where each track's last complete one ends, as network.Network.events."""
        rows = intervals(choices, lone, first)
        if not len(rows):
            return [], np.zeros(len(EVENTS), int)
        track, begin, end = rows.T
        at_begin, at_end = features[track, begin], features[track, end]
        pair = np.concatenate([at_begin, at_end, at_begin * at_end], axis=1)
        velocity, shift, presence = self._describes.run(["velocity", "shift", "presence"], {"pair": pair})
        return as_events(rows, velocity.argmax(axis=1), shift, presence, self.hop / self.rate, len(choices))


def analysis_windows(size: int, center: list[float], sigma: list[float]) -> np.ndarray:
    """Hann's window and Gaussian ones [1 + N, size] float32, with their learned centers and widths [N] (0 to 1)."""
    at = np.arange(size)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * at / size)
    gaussians = [np.exp(-0.5 * ((at - size * c) / (s * size / 2)) ** 2) for c, s in zip(center, sigma, strict=True)]
    return np.array([hann, *gaussians], np.float32)
