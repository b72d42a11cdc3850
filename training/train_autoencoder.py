# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the gesture autoencoder whose encoder FID2 compares motions with.

    python -m training.train_autoencoder --data DIR --out FOLDER

It learns to restore 8 s of both hands' poses (rad, the piano's frame, the left hand not mirrored, the right hand's
values first) from 256 features; FOLDER/encoder.safetensors gets the encoder, in half precision. The same data, seed
and number of threads give the same weights.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from s2c_blender.errors import CANCELLED, UserError
from s2c_blender.model.config import FPS
from s2c_blender.outputs import check_folder, whole_file

from . import layout
from .gesture_autoencoder import FRAMES, PREFIX, WEIGHTS, PoseDecoder, PoseEncoder
from .takes import choose, read_take

HOURS = 4.0  # of motion at most: more does not fit into a small memory and adds little
BATCH, RATE = 64, 1e-3
VALIDATED = 256  # windows


def train(
    data: Path, steps: int, seed: int = 0, tell: Callable[[str], None] = lambda line: None
) -> tuple[PoseEncoder, dict[str, float]]:
    """Train on the split "train" of a folder of clips; the encoder, and its errors on the split "valid".

    `rms_deg`: root mean square of what is restored wrongly, of one pose value; `mean_pose_rms_deg`: of answering with
    the mean of all poses.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    clips, unseen = _motions(data, "train", HOURS, tell), _motions(data, "valid", HOURS / 20, tell)
    encoder, decoder = PoseEncoder(), PoseDecoder()
    networks = nn.ModuleList([encoder, decoder])
    optimiser = torch.optim.Adam(networks.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    mean = torch.from_numpy(np.concatenate(clips).mean(axis=0))  # [96], what the decoder's answers are counted from
    for step in range(steps):
        batch = torch.from_numpy(_windows(clips, BATCH, rng))
        loss = nn.functional.mse_loss(mean + decoder(encoder(batch)), batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 250 == 0:
            tell(f"step {step + 1} of {steps}: {np.degrees(loss.item() ** 0.5):.2f} degrees")
    networks.eval()
    sample = torch.from_numpy(_windows(unseen, VALIDATED, rng))
    with torch.no_grad():
        restored = mean + decoder(encoder(sample))
    errors = {"rms_deg": restored - sample, "mean_pose_rms_deg": mean - sample}
    return encoder, {name: float(np.degrees(wrong.square().mean().sqrt())) for name, wrong in errors.items()}


def _motions(data: Path, split: str, hours: float, tell: Callable[[str], None]) -> list[np.ndarray]:
    """Poses [N, 96] of both hands, right first, of clips spread over performers, up to so many hours of them."""
    found, frames = [], 0
    names = layout.read_split(data, split)
    for name in choose(names, len(names)):
        try:
            motion = read_take(data, name, None, camera=True).in_frame("piano")
        except UserError as error:
            tell(f"left out: {error}")
            continue
        found.append(np.concatenate([motion.poses[1], motion.poses[0]], axis=1).astype(np.float32))
        frames += len(motion)
        if frames >= hours * 3600 * FPS:
            break
    if not found:
        raise UserError(f"The split {split} in {data} has no clips of 8 s in the piano's frame: make some first.")
    tell(f"{split}: {frames / FPS / 3600:.2f} h in {len(found)} clips")
    return found


def _windows(clips: list[np.ndarray], count: int, rng: np.random.Generator) -> np.ndarray:
    """Windows [count, 240, 96] from anywhere in the clips, every place as likely as another."""
    places = np.array([len(clip) - FRAMES + 1 for clip in clips])
    chosen = rng.choice(len(clips), count, p=places / places.sum())
    starts = [rng.integers(0, places[clip]) for clip in chosen]
    return np.stack([clips[clip][start : start + FRAMES] for clip, start in zip(chosen, starts, strict=True)])


def save_encoder(encoder: PoseEncoder, folder: Path) -> None:
    """Write the encoder's weights in half precision, under the release's names."""
    state = {
        PREFIX + name: value.half() if value.is_floating_point() else value
        for name, value in encoder.state_dict().items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / WEIGHTS) as part:
        save_file(state, part)
        part.chmod(0o644)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.train_autoencoder", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="clips in PianoMotion10M's layout")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="gets encoder.safetensors")
    parser.add_argument("--steps", type=int, default=1000, metavar="N", help="default: 1000")
    options = parser.parse_args(arguments)

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        check_folder(options.out)
        encoder, errors = train(options.data, options.steps, tell=tell)
        save_encoder(encoder, options.out)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return CANCELLED
    print(f"On unseen clips: {errors['rms_deg']:.2f} degrees; with the mean pose {errors['mean_pose_rms_deg']:.2f}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
