# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HuBERT audio encoder, at the model's frame rate (parity fact 3)."""

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import HubertConfig, HubertModel


class HubertEncoder(nn.Module):
    """Normalised 16 kHz audio [B, L] -> last hidden states [B, frames, C].

    HuBERT's 50 Hz features are brought to the model's frames between its convolutions and its transformer.
    """

    def __init__(self, hubert: dict | HubertModel):
        """`hubert`: a configuration for `HubertConfig`, or a model that is already there."""
        super().__init__()
        self.hubert = hubert if isinstance(hubert, HubertModel) else HubertModel(HubertConfig(**hubert))

    @classmethod
    def from_folder(cls, folder: Path) -> "HubertEncoder":
        """From a local folder of transformers' (config.json and model.safetensors), nothing fetched.

        Raises OSError or ValueError, as transformers does, when the folder is not one.
        """
        return cls(HubertModel.from_pretrained(folder, local_files_only=True, use_safetensors=True))

    def forward(self, audio: Tensor, frames: int) -> Tensor:
        heard = self.hubert.feature_extractor(audio)  # [B, C, about 50 a second]
        heard = F.interpolate(heard, size=frames, mode="linear", align_corners=True).transpose(1, 2)
        projected = self.hubert.feature_projection(heard)
        return self.hubert.encoder(projected).last_hidden_state
