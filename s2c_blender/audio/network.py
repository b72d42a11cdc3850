# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transkun network at work on windows of sound: from samples to note events with frame-exact decoding.

Imports PyTorch and transkun: import this module inside functions only. Of the transkun package (MIT, Yujia Yan) it
takes the layers and the trained weights. What its own driver would need besides (torchaudio, pretty_midi, mir_eval and
a dozen others) is not: the mel filter bank, torchaudio's only use, is stored in the checkpoint as a buffer.
"""

import json
import math
from importlib.resources import files

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transkun.LayersTransformer import Backbone, ScaledInnerProductIntervalScorer
from transkun.Util import Spectrum

from .events import EVENTS, Event, as_events, intervals


class Network(nn.Module):
    """transkun 2.0 with its weights. `half` runs the matrix products in bfloat16."""

    def __init__(self, device: str, half: bool):
        super().__init__()
        folder = files("transkun") / "pretrained"
        conf = json.loads((folder / "2.0.conf").read_text())["Model"]["config"]
        self.rate, self.hop, self.frame = conf["fs"], conf["hopSize"], conf["windowSize"]
        # The network hears well only in windows of exactly the length it was trained on (16 s): one frame more or less
        # and it misses a tenth of the notes, half as long and it misses half.
        self.window = math.ceil(conf["segmentSizeInSecond"] * self.rate / self.hop)
        self.half = half
        size = conf["baseSize"] * conf["scoringExpansionFactor"]
        self.framewiseFeatureExtractor = nn.Module()
        self.framewiseFeatureExtractor.spectrogramExtractor = Spectrum(self.frame, conf["nExtraWins"])
        self.framewiseFeatureExtractor.register_buffer("freq2mels", torch.empty(self.frame // 2 + 1, conf["n_mels"]))
        self.scorer = ScaledInnerProductIntervalScorer(size, 1)
        self.velocityPredictor = _head(3 * size, conf["velocityPredictorHiddenSize"], 128)
        self.refinedOFPredictor = _head(3 * size, conf["refinedOFPredictorHiddenSize"], 4)
        self.backbone = Backbone(
            inputSize=conf["nExtraWins"] + 1,
            baseSize=conf["baseSize"],
            posEmbedInitGamma=conf["posEmbedInitGamma"],
            nHead=conf["nHead"],
            fourierSize=conf["fourierSize"],
            hiddenFactor=conf["hiddenFactor"],
            hiddenFactorAttn=conf["hiddenFactorAttn"],
            expansionFactor=conf["scoringExpansionFactor"],
            nLayers=conf["nLayers"],
            enabledAttn=conf["enabledAttn"],
            downsampleF=conf["downsampleF"],
        )
        with (folder / "2.0.pt").open("rb") as file:
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
        self.load_state_dict(checkpoint["state_dict"])
        self.to(device).eval().requires_grad_(False)
        self.device = torch.device(device)

    @torch.inference_mode()
    def listen(self, samples: np.ndarray) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
        """Hear one window of samples [n * hop], n = self.window.

        -> features [90, n + 1, D], lone frames [n + 1, 90] and choices [n, 90]: where the best path goes from
        each frame, to the end frame of a note or to the next frame (0).
        """
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            features = self._features(self._mel(torch.from_numpy(samples).to(self.device)))
            choices, lone = self._decode(features)
        return features.float(), choices, lone

    def _mel(self, samples: torch.Tensor) -> torch.Tensor:
        """Log-mel pictures [6, T, 229] of a window, one for each analysis window (Hann and five learned ones)."""
        frames = F.pad(samples, (self.frame // 2, self.frame // 2)).unfold(0, self.frame, self.hop)
        frames = (frames - frames.mean()) / (frames.std() + 1e-8)
        extractor = self.framewiseFeatureExtractor
        spectrum = extractor.spectrogramExtractor
        windows = torch.cat([spectrum.win[None], spectrum.winGen.get().T])
        with torch.autocast(self.device.type, enabled=False):
            power = torch.stack([torch.fft.rfft(frames * w, norm="ortho").abs().square() for w in windows])
            mel = power @ extractor.freq2mels
        floor = math.log(1e-5)
        return ((mel + 1e-5).log() - floor) / -floor

    def _features(self, mel: torch.Tensor) -> torch.Tensor:
        """What the network hears of each of the 90 tracks at each frame: [90, T, D]."""
        net = self.backbone
        count = mel.shape[1]
        bands = torch.arange(mel.shape[2], device=mel.device).float()
        x = net.downConv(net.inputConv(mel[None]) + net.posEmbedBuilder(bands).T[None, :, None])[0]
        x = F.pad(x.permute(1, 2, 0), (0, 0, 1, 0, 1, 0)).float()  # [T/8 + 1, 58 + 1, D]
        time, band = (torch.arange(n, device=x.device).float() for n in x.shape[:2])
        tracks = torch.from_numpy(EVENTS).to(x.device).float()
        x = torch.cat([x + net.posEmbedBuilderAttnTF(time, band), net.posEmbedBuilderAttnTE(time, tracks)], dim=1)
        *blocks, last = net.encoderLayers
        for block in blocks:
            x = block(x)
        # Only the tracks are read after the last block: the same sums as the block's, for them alone.
        asked = x[:, len(band) :]
        y = last.fnnBlockF(last.mhaBlockF(asked, x)).transpose(0, 1)
        y = last.fnnBlockT(last.mhaBlockT(y, asked.transpose(0, 1)))  # [90, T/8 + 1, D]
        return net.upConv1dSkip(y[:, 1:].transpose(1, 2))[:, :, :count].transpose(1, 2)

    def _decode(self, features: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Backward Viterbi of the semi-Markov field over all intervals [begin, end] of each track."""
        scorer = self.scorer
        query, key, lone = scorer.map(features).split([scorer.size, scorer.size, 1], dim=2)
        score = (key @ (query / math.sqrt(scorer.size)).transpose(1, 2)).float()  # [90, begin, end]
        lone = lone[..., 0].float().relu()  # [90, T] an event of a single frame, taken wherever it helps
        count = score.shape[1]
        index = torch.arange(count, device=score.device)
        score *= (index[None] - index[:, None]).abs()
        best = torch.zeros(len(score), count, device=score.device)
        choices = torch.zeros(count - 1, len(score), dtype=torch.long, device=score.device)
        best[:, -1] = lone[:, -1]
        for begin in range(count - 2, -1, -1):
            value, end = (score[:, begin, begin + 1 :] + best[:, begin + 1 :]).max(dim=1)
            skip = best[:, begin + 1]
            choices[begin] = torch.where(value > skip, end + begin + 1, 0)
            best[:, begin] = torch.maximum(value, skip) + lone[:, begin]
        return choices.cpu().numpy(), (lone > 0).T.cpu().numpy()

    @torch.inference_mode()
    def events(
        self, features: torch.Tensor, choices: np.ndarray, lone: np.ndarray, first: np.ndarray
    ) -> tuple[list[Event], np.ndarray]:
        """The events of a window, sorted by start, and the frame where each track's last complete one ends [90].

        `first` [90] is the frame at which decoding starts in each track: where the window before has left it.
        """
        rows = intervals(choices, lone, first)
        if not len(rows):
            return [], np.zeros(len(EVENTS), int)
        track, begin, end = torch.from_numpy(rows.T).to(self.device)
        at_begin, at_end = features[track, begin], features[track, end]
        pair = torch.cat([at_begin, at_end, at_begin * at_end], dim=1)
        velocity = self.velocityPredictor(pair).argmax(dim=1).cpu().numpy()
        shift, presence = self.refinedOFPredictor(pair).cpu().chunk(2, dim=1)
        return as_events(rows, velocity, shift.numpy(), presence.numpy(), self.hop / self.rate, len(choices))


def _head(size: int, hidden: int, out: int) -> nn.Sequential:
    """A two-layer perceptron with the checkpoint's numbering (index 2 was a dropout)."""
    return nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Identity(), nn.Linear(hidden, out))
