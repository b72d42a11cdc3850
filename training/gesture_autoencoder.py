# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network whose features FID2 compares (parity fact 8): the encoder half of an autoencoder of gestures.

The release's own weights are not public; train_autoencoder.py made those in training/autoencoder/.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from s2c_blender.errors import UserError

PREFIX = "pose_encoder."  # of the encoder's keys in the release's file
AUTOENCODER = Path(__file__).parent / "autoencoder"  # the shipped weights' folder
WEIGHTS = "encoder.safetensors"
FRAMES, CHANNELS = 240, 96  # of a sample: 8 s of the right hand's 48 values, then the left hand's


class PoseEncoder(nn.Module):
    """Poses of both hands [B, frames, channels], right hand's first, radians -> features [B, F].

    Keys are the release's without PREFIX. Its activations in `out_net` have slope 1, written `LeakyReLU(True)`, and
    so do nothing; nn.Identity keeps their places.
    """

    def __init__(
        self,
        frames: int = FRAMES,
        channels: int = CHANNELS,
        widths: tuple[int, int, int, int] = (32, 64, 64, 32),
        hidden: tuple[int, int] = (512, 256),
        features: int = 256,
    ):
        super().__init__()
        a, b, c, d = widths
        self.net = nn.Sequential(
            _convolution(channels, a, 3),
            _convolution(a, b, 3),
            _convolution(b, c, 4, stride=2),
            nn.Conv1d(c, d, 3),
        )
        left = (frames - 8) // 2 - 1  # of the frames, after two kernels of 3, one of 4 with stride 2, one of 3
        self.out_net = nn.Sequential(
            nn.Linear(d * left, hidden[0]),
            nn.BatchNorm1d(hidden[0]),
            nn.Identity(),
            nn.Linear(hidden[0], hidden[1]),
            nn.BatchNorm1d(hidden[1]),
            nn.Identity(),
            nn.Linear(hidden[1], features),
        )
        self.fc_mu = nn.Linear(features, features)

    def forward(self, poses: torch.Tensor) -> torch.Tensor:
        found = self.net(poses.transpose(1, 2))  # [B, width, left]
        return self.fc_mu(self.out_net(found.flatten(1)))


class PoseDecoder(nn.Module):
    """Features [B, F] -> poses [B, 240, 96]: the encoder of the default sizes turned round. Only training needs it."""

    def __init__(self):
        super().__init__()
        self.net_in = nn.Sequential(
            nn.Linear(256, 512), nn.BatchNorm1d(512), nn.LeakyReLU(0.2), nn.Linear(512, 32 * 115), nn.LeakyReLU(0.2)
        )
        self.net = nn.Sequential(
            nn.ConvTranspose1d(32, 64, 3),
            nn.BatchNorm1d(64),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose1d(64, 64, 4, stride=2),
            nn.BatchNorm1d(64),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose1d(64, 32, 3),
            nn.BatchNorm1d(32),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose1d(32, CHANNELS, 3),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.net(self.net_in(features).unflatten(1, (32, 115))).transpose(1, 2)


def _convolution(channels: int, width: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(channels, width, kernel, stride), nn.BatchNorm1d(width), nn.LeakyReLU(0.2))


def load_encoder(state: dict[str, torch.Tensor], frames: int) -> PoseEncoder:
    """The encoder for motions of `frames` frames from the state dict of the release's whole autoencoder, in eval mode.

    Its sizes follow from the weights. Decoder and the unused `fc_logvar` are left out; RuntimeError names what is
    missing or has another shape.
    """
    mine = {key.removeprefix(PREFIX): value.float() for key, value in state.items() if key.startswith(PREFIX)}
    mine = {key: value for key, value in mine.items() if not key.startswith("fc_logvar.")}
    sizes = {key: len(value) for key, value in mine.items() if value.ndim > 1}
    encoder = PoseEncoder(
        frames,
        mine["net.0.0.weight"].shape[1],
        tuple(sizes[f"net.{key}.weight"] for key in ("0.0", "1.0", "2.0", "3")),
        (sizes["out_net.0.weight"], sizes["out_net.3.weight"]),
        sizes["fc_mu.weight"],
    )
    encoder.load_state_dict(mine)
    return encoder.eval()


def read_encoder(folder: Path) -> PoseEncoder:
    """The encoder in a folder that train_autoencoder.py wrote; UserError when there is none or it is damaged."""
    path = folder / WEIGHTS
    try:
        return load_encoder(load_file(path), FRAMES)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}): train the gesture autoencoder, or copy it again.") from error
    except (RuntimeError, KeyError, IndexError) as error:
        raise UserError(f"{path} holds no encoder of gestures of {FRAMES} frames: train it again.") from error


@torch.no_grad()
def gesture_features(encoder: PoseEncoder, poses: np.ndarray) -> np.ndarray:
    """Features [B, F] of poses [B, frames, channels], on whatever device the encoder is."""
    device = next(encoder.parameters()).device
    return encoder(torch.as_tensor(poses, dtype=torch.float32, device=device)).cpu().numpy()
