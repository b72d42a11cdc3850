# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audio encoders: a window as `features.window_input` gives it -> features at the model's frame rate.

All are called alike, `encoder(window, frames) -> [B, frames, width]`; their state is in the hand's weights.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from .config import AudioConfig
from .features import notes_width

if TYPE_CHECKING:
    from transformers import HubertModel


class NoteEncoder(nn.Module):
    """The finger roll [B, frames, notes_width] and beside it what convolutions make of the notes around each frame.

    The transformers that follow have no sense of time of their own (parity facts 4 and 5.2): for HuBERT its positional
    convolution gives it to them, for notes these convolutions do, with a second of past and future.
    """

    def __init__(self, audio: AudioConfig):
        super().__init__()
        self.width = self.width_of(audio)
        self.first = nn.Conv1d(notes_width(audio), audio.width, 7, padding=3)
        self.norms = nn.ModuleList(nn.GroupNorm(1, audio.width) for _ in range(audio.layers))
        self.layers = nn.ModuleList(
            nn.Conv1d(audio.width, audio.width, 5, padding=2 * 2**i, dilation=2**i) for i in range(audio.layers)
        )

    @staticmethod
    def width_of(audio: AudioConfig) -> int:
        """Channels of the features."""
        return notes_width(audio) + audio.width

    def forward(self, window: Tensor, frames: int) -> Tensor:
        x = self.first(window.transpose(1, 2))  # [B, C, frames]
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x + layer(F.silu(norm(x)))
        return torch.cat([window, x.transpose(1, 2)], dim=2)


class HubertEncoder(nn.Module):
    """Normalised 16 kHz audio [B, L] -> HuBERT's last hidden states [B, frames, C] (parity fact 3).

    Its 50 Hz features are brought to the model's frames between its convolutions and its transformer.
    """

    def __init__(self, audio: AudioConfig):
        """Raises UserError when `audio.hubert` describes no HuBERT."""
        super().__init__()
        from transformers import HubertConfig, HubertModel  # takes seconds

        try:
            self.hubert = HubertModel(HubertConfig(**audio.hubert))
        except Exception as error:  # of many kinds, some of other packages
            told = f"The model's settings of HuBERT make none ({one_line(error)}): get the model again."
            raise UserError(told) from error
        self.width = self.width_of(audio)

    @staticmethod
    def width_of(audio: AudioConfig) -> int:
        """Channels of the features."""
        return audio.hubert["hidden_size"]

    def forward(self, audio: Tensor, frames: int) -> Tensor:
        heard = self.hubert.feature_extractor(audio)  # [B, C, about 50 a second]
        heard = F.interpolate(heard, size=frames, mode="linear", align_corners=True).transpose(1, 2)
        projected = self.hubert.feature_projection(heard)
        return self.hubert.encoder(projected).last_hidden_state


ENCODERS = {"notes": NoteEncoder, "hubert": HubertEncoder}


def make_encoder(audio: AudioConfig) -> nn.Module:
    """The encoder that a configuration names, with random weights."""
    return ENCODERS[audio.encoder](audio)


def features_width(audio: AudioConfig) -> int:
    """Channels of the features of the encoder that a configuration names, which is not made for it."""
    return ENCODERS[audio.encoder].width_of(audio)


def local_hubert(folder: Path) -> "HubertModel":
    """A HuBERT from a local folder as transformers stores it: config.json and model.safetensors or pytorch_model.bin.

    Nothing is fetched, and a .bin is read as tensors only. Raises UserError when the folder holds no whole HuBERT.
    """
    from transformers import HubertModel, PretrainedConfig
    from transformers.utils import logging

    told = logging.get_verbosity()
    logging.set_verbosity_error()  # it warns of the head that speech recognition has and we have not
    try:
        kind = PretrainedConfig.get_config_dict(folder / "config.json", local_files_only=True)[0].get("model_type")
        if kind != "hubert":
            raise ValueError(f"its config.json is of {kind or 'no model'}")
        model, found = HubertModel.from_pretrained(
            folder, local_files_only=True, weights_only=True, output_loading_info=True
        )
        if missing := sorted(found["missing_keys"]):  # transformers would leave them random
            raise ValueError(f"{missing[0]} is missing")
    except Exception as error:  # of many kinds, some of other packages
        raise UserError(
            f"{folder} holds no whole HuBERT ({one_line(error)}): "
            "choose the folder with its config.json and model.safetensors."
        ) from error
    finally:
        logging.set_verbosity(told)
    return model


def one_line(error: Exception) -> str:
    """The first sentence of what an error says, to stand in brackets."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words.split(". ")[0].rstrip(".:")
