# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published S2C checkpoints (parity fact 9): their names in our networks, and the import into a model folder.

A checkpoint is a pickle. It is read by PyTorch's restricted reader, which makes tensors, plain values and one
`argparse.Namespace` and refuses everything else without running it.
"""

import argparse
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path

import torch

from ..core.notes import LEFT
from ..errors import UserError
from ..outputs import check_room
from .config import CausalBias, ModelConfig
from .encoders import local_hubert, one_line
from .position import PositionNet
from .release_config import HUBERT, Arguments, Shapes, incomplete, release_config, schedule_buffers
from .release_files import find_release
from .schedule import cosine
from .unet import GestureNet
from .weights import HANDS, misfit, new_folder, write_config, write_hand

# Release name -> ours: every line is applied, in this order. `gesture.` is the U-Net, `position.` is stage 1.
RENAMES = [
    (re.compile(pattern), ours)
    for pattern, ours in (
        (r"^piano2posi\.audio_encoder_cont\.", "position.encoder.hubert."),
        (r"^piano2posi\.audio_feature_map_cont\.", "position.mapped."),
        (r"^piano2posi\.transformer_(encoder|decoder)\.", r"position.transformer.\1."),
        (r"^piano2posi\.bs_map_r\.", "position.head."),
        (r"^model\.cond_feature_map\.", "gesture.noise_in."),
        (r"^model\.init_conv\.", "gesture.stem."),
        (r"^model\.time_mlp\.1\.", "gesture.time.0."),
        (r"^model\.time_mlp\.3\.", "gesture.time.2."),
        (r"^model\.(downs|ups)\.", r"gesture.\1."),
        (r"^model\.mid_block([12])\.", r"gesture.mid\1."),
        (r"^model\.mid_attn\.", "gesture.attention."),
        (r"^model\.final_res_block\.", "gesture.last."),
        (r"^model\.final_conv\.", "gesture.out."),
        (r"^model\.transformer_(encoder|decoder)\.", r"gesture.refiner.\1."),
        (r"^model\.cross_attn\.cross_attn\.", "gesture.fusion.attention."),
        (r"^model\.(cross|diff)_attn\.", "gesture.fusion."),
        # The asymmetric attention: "left" is the hand whose network it is, "right" the other one, for both hands.
        (r"\.fusion\.(q|k|v)_proj_left\.", r".fusion.\g<1>1."),
        (r"\.fusion\.(q|k|v)_proj_right\.", r".fusion.\g<1>2."),
        (r"\.fusion\.lambda_(q|k)_left$", r".fusion.lambda_\g<1>1"),
        (r"\.fusion\.lambda_(q|k)_right$", r".fusion.lambda_\g<1>2"),
        (r"\.fusion\.subln\.", ".fusion.norm."),
        (r"\.fusion\.out_proj\.", ".fusion.out."),
        # Attention within a hand was wrapped twice: by a residual and by a norm.
        (r"\.fn\.norm\.g$", ".norm.g"),
        (r"\.fn\.fn\.", "."),
        # The attention to the same frame only (see `convert`).
        (r"\.multihead_attn\.in_proj_", ".memory_value."),
        (r"\.multihead_attn\.out_proj\.", ".memory_out."),
    )
]
BUFFERS = {*schedule_buffers(cosine(1)), "loss_weight"}  # of the diffusion: computed here
UNUSED = (f"{HUBERT}lm_head.", "piano2posi.pos_feature_map.")  # made upstream, never called


def rename(name: str, fusion: str) -> str | None:
    """Our name for a tensor of the release; None for one that nothing uses; UserError for a foreign one.

    `fusion` is FusionConfig's kind: the release makes its cross-attention even where hands meet otherwise.
    """
    if name in BUFFERS or name.startswith(UNUSED) or (name.startswith("model.cross_attn.") and fusion != "cross"):
        return None
    ours = modern(name)
    for pattern, replacement in RENAMES:
        ours = pattern.sub(replacement, ours)
    if not ours.startswith(("position.", "gesture.")):
        raise UserError(f"The checkpoint has a tensor {name}, which the S2C release has not: it is another model's.")
    return ours


def modern(name: str) -> str:
    """A weight-normalised convolution's tensors as PyTorch names them from 2.1 on (transformers: from 4.30)."""
    parts = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    before, dot, last = name.rpartition(".")
    return before + dot + parts.get(last, last)


def convert(state: Mapping[str, torch.Tensor], fusion: str) -> Iterator[tuple[str, torch.Tensor]]:
    """The release's tensors of one hand (complete names) as ours: name and tensor, without those that nothing uses.

    The decoders attend to the memory of the very same frame, one value under the softmax: what comes out is that
    frame's value, projected (parity fact 4). So queries and keys, the first two thirds of the rows, are left out.
    """
    for name, value in state.items():
        if ours := rename(name, fusion):
            yield ours, value[2 * len(value) // 3 :] if ".multihead_attn.in_proj_" in name else value


def expected(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors of one hand's networks."""
    with torch.device("meta"):
        networks = {
            "position": PositionNet(config),
            "gesture": GestureNet(config.gesture, config.audio, LEFT),  # the right one has the same
        }
    return {
        f"{prefix}.{name}": tuple(value.shape)
        for prefix, network in networks.items()
        for name, value in network.state_dict().items()
    }


def import_release(
    folder: Path,
    target: Path,
    *,
    half: bool = False,
    as_trained: bool = False,
    hubert: Path | None = None,
    on_progress: Callable[[str, float], None] | None = None,
) -> ModelConfig:
    """Convert the released pair of checkpoints in `folder` (or below) to a model folder `target`; its configuration.

    Hands come one after the other and stay on disk until they are written, so that memory holds about one hand's
    weights. `half` stores float16. The released infer.py runs one window at a time and so applies a causal mask that
    training, with its larger batches, never had (parity fact 10.1): the model does as infer.py, whatever the batch;
    `as_trained` leaves the mask out. `hubert` is a local folder of transformers' that completes checkpoints without
    (all of) an audio encoder; tensors that a checkpoint has are never taken from there. Raises UserError for everything
    that is missing, damaged or foreign.
    """
    tell = on_progress or (lambda stage, fraction: None)
    files = find_release(Path(folder))
    args, args_posi = Arguments(files["args"]), Arguments(files["args_posi"])
    causal_bias: CausalBias = "never" if as_trained else "always"
    configs: list[ModelConfig] = []
    hashes = {}
    with new_folder(Path(target)) as part:
        for done, hand in enumerate(HANDS):
            path = files[hand]
            tell(f"importing the {hand} hand", 0.5 * done)
            state = read_checkpoint(path)
            if hubert:
                complete(state, args_posi, Path(hubert))
            try:
                configs.append(_config_of(state, args, args_posi, causal_bias))
                networks = expected(configs[0])
            except (ValueError, TypeError, AssertionError) as error:
                told = f"{path.name} and its arguments ask for networks that cannot be ({one_line(error)})"
                raise UserError(f"{told}: get the release again.") from error
            if configs[0] != configs[-1]:
                raise UserError(f"{files['left'].name} and {path.name} are of different models: get both again.")
            ours = dict(convert(state, configs[0].gesture.fusion.kind))
            if problem := misfit(networks, ours):
                if problem.startswith("position.encoder.") and problem.endswith(" is missing"):
                    raise incomplete(path.name)
                raise UserError(f"{path.name} is no checkpoint of S2C ({problem}): get the release again.")
            check_room(part.parent, sum(value.numel() for value in ours.values()) * (2 if half else 4) * (2 - done))
            write_hand(part, hand, ours, half=half)
            del state, ours  # or the next hand is read while this one is still mapped
            tell(f"checking the {hand} hand's file", 0.5 * done + 0.4)
            hashes[path.name] = sha256(path)
        meta = {
            "source": "published S2C checkpoint",
            "files": hashes,
            "imported": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        config = replace(configs[0], meta=meta)
        write_config(part, config)
    tell("imported", 1.0)
    return config


def complete(state: dict[str, torch.Tensor], args_posi: Arguments, folder: Path) -> None:
    """Give a checkpoint's tensors those of its audio encoder that it lacks, from a folder with a HuBERT.

    Where it lacks any, the folder also tells what shapes do not (heads, strides), unless the arguments do.
    """
    have = {modern(name) for name in state}
    if not folder.is_dir():
        raise UserError(f"The folder {folder} does not exist: choose the one that holds HuBERT.")
    model = local_hubert(folder)
    lacking = {HUBERT + name: value for name, value in model.state_dict().items() if HUBERT + name not in have}
    if lacking:
        state.update(lacking)
        said = args_posi.values.get("hubert_config", {})
        args_posi.values["hubert_config"] = model.config.to_dict() | said


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a released checkpoint, mapped from the file.

    Raises UserError for what is no such file, is truncated, or holds anything but tensors and arguments.
    """
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path.name} is no PyTorch checkpoint or only a part of one: download it again.")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path.name} holds more than tensors, so it was not opened and nothing in it was run: "
            "get it from where S2C is published."
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path.name} is damaged or no PyTorch checkpoint: download it again.") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) and value.is_floating_point()
        for name, value in state.items()
    ):
        raise UserError(f"{path.name} is no checkpoint of S2C: it holds no state_dict of weights.")
    return state


def _config_of(
    state: Mapping[str, torch.Tensor], args: Arguments, args_posi: Arguments, causal_bias: CausalBias
) -> ModelConfig:
    shapes = Shapes({modern(name): tuple(value.shape) for name, value in state.items()})
    for name in sorted(BUFFERS):
        shapes[name]
    buffers = {name: state[name].float().numpy() for name in BUFFERS}
    return release_config(shapes, buffers, args, args_posi, causal_bias)


def sha256(path: Path) -> str:
    """A file's SHA-256, as hexadecimal digits."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
