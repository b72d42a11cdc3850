# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks as ONNX files, for computers without PyTorch: `python -m tools.onnx_export [--force] [MODEL FOLDER ...]`.

Without folders the transcriber, from the pinned transkun package into s2c_blender/audio/bundled; else the position and
gesture networks of each folder, beside its weights. Files that the same programs made from the same weights are left
as they are. What was exported is compared with PyTorch before it gets its name; the same versions write the same bytes.
"""

import argparse
import hashlib
import json
import logging
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2c_blender.audio import onnx_network
from s2c_blender.audio.device import open_network
from s2c_blender.audio.events import EVENTS
from s2c_blender.audio.network import Network
from s2c_blender.audio.read import load_audio
from s2c_blender.errors import UserError
from s2c_blender.model.features import notes_width
from s2c_blender.model.hands import Condition
from s2c_blender.model.networks import TorchNetworks
from s2c_blender.model.onnx_networks import OnnxNetworks, configured, files
from s2c_blender.model.weights import CONFIG, HANDS, read_config

if TYPE_CHECKING:
    import onnx

REPO = Path(__file__).resolve().parent.parent
PACKAGES = ("torch", "transkun", "onnx", "onnxscript")  # whose versions decide what the files hold
OPSET, TRACED_OPSET = 23, 17
SMALL = 1024  # numbers: smaller weights are kept as they are
AGREED = 5e-3  # largest difference from PyTorch, in standard deviations of what is compared
ROWS = 116  # begins of intervals scored at once: ends before them need no score, which saves two fifths


@dataclass(frozen=True)
class Export:
    """A network as it goes into a file."""

    network: nn.Module
    example: tuple[Tensor, ...]
    inputs: list[str]
    outputs: list[str]
    batched: bool = False  # whether the first dimension of all inputs may change
    traced: bool = False  # by PyTorch's older exporter: 4 s where the other takes a minute for many small operators


class Attention(nn.Module):
    """A block's attention with its norm and shortcut: the shortcut's scale is put into the last weights.

    ONNX Runtime's own operator does it without the intermediate pictures that its parts would need.
    """

    def __init__(self, block: nn.Module):
        super().__init__()
        attention = block.module
        self.heads = attention.num_heads
        self.query, self.key, self.value = (
            _kept(getattr(attention, f"{name}_proj_weight")) for name in ("q", "k", "v")
        )
        self.out = _kept((attention.out_proj.weight * block.scale[:, None]).T)
        self.bias = _kept(attention.out_proj.bias * block.scale)
        self.ones, self.eps = _kept(torch.ones(len(block.scale))), block.norm.eps

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        query = F.rms_norm(x, self.ones.shape, self.ones, self.eps) @ self.query
        operands = [query, memory @ self.key, memory @ self.value]
        attended = torch.onnx.ops.symbolic(
            "com.microsoft::MultiHeadAttention",
            operands,
            attrs={"num_heads": self.heads},
            dtype=x.dtype,
            shape=query.shape,
            version=1,
        )
        return x + (attended @ self.out + self.bias)


class FeedForward(nn.Module):
    """A block's two linear layers, likewise."""

    def __init__(self, block: nn.Module):
        super().__init__()
        first, _, _, second = block.module
        self.first, self.first_bias = _kept(first.weight.T), _kept(first.bias)
        self.second = _kept((second.weight * block.scale[:, None]).T)
        self.second_bias = _kept(second.bias * block.scale)
        self.ones, self.eps = _kept(torch.ones(len(block.scale))), block.norm.eps

    def forward(self, x: Tensor) -> Tensor:
        normed = F.rms_norm(x, self.ones.shape, self.ones, self.eps)
        return x + (F.gelu(normed @ self.first + self.first_bias) @ self.second + self.second_bias)


class Hears(nn.Module):
    """Power spectra [6, T, 2049] of a window -> features [90, T, D], lone [90, T] and blocks of scores.

    What audio.network.Network computes between its spectra and its decoding; the blocks are as events.best_choices
    wants them. What depends on the places of frames, bands and tracks only is computed here.
    """

    def __init__(self, network: Network):
        super().__init__()
        net = network.backbone
        self.mel = _kept(network.framewiseFeatureExtractor.freq2mels)
        self.into, self.down, self.up = net.inputConv, net.downConv, net.upConv1dSkip
        self.bands = _kept(net.posEmbedBuilder(torch.arange(self.mel.shape[1]).float()).T[None, :, None])
        self.frames = network.window + 1
        shape = self.down(torch.zeros(1, self.bands.shape[1], self.frames, self.mel.shape[1])).shape
        time, band = (torch.arange(n + 1).float() for n in shape[2:])
        self.places = _kept(net.posEmbedBuilderAttnTF(time, band))
        self.tracks = _kept(net.posEmbedBuilderAttnTE(time, torch.from_numpy(EVENTS).float()))
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                [
                    Attention(block.mhaBlockF),
                    FeedForward(block.fnnBlockF),
                    Attention(block.mhaBlockT),
                    FeedForward(block.fnnBlockT),
                ]
            )
            for block in net.encoderLayers
        )
        (scored,), size = network.scorer.map, network.scorer.size
        parts = zip(scored.weight.split([size, size, 1]), scored.bias.split([size, size, 1]), strict=True)
        (query, query_bias), (key, key_bias), (lone, lone_bias) = parts
        self.query, self.query_bias = _kept(query.T / math.sqrt(size)), _kept(query_bias / math.sqrt(size))
        self.key, self.key_bias = _kept(key.T), _kept(key_bias)
        self.single, self.single_bias = _kept(lone.T), _kept(lone_bias)

    def forward(self, power: Tensor) -> tuple[Tensor, ...]:
        floor = math.log(1e-5)
        x = ((power @ self.mel + 1e-5).log() - floor) / -floor
        x = self.down(self.into(x[None]) + self.bands)[0]
        x = torch.cat([F.pad(x.permute(1, 2, 0), (0, 0, 1, 0, 1, 0)) + self.places, self.tracks], dim=1)
        for number, (across, first, along, second) in enumerate(self.blocks, 1):
            # Only the tracks are read after the last block.
            asked = x[:, self.places.shape[1] :] if number == len(self.blocks) else x
            y = first(across(asked, x)).transpose(0, 1)
            y = second(along(y, asked.transpose(0, 1)))
            x = y.transpose(0, 1)
        features = self.up(y[:, 1:].transpose(1, 2))[:, :, : self.frames].transpose(1, 2)
        query = (features @ self.query + self.query_bias).transpose(1, 2)
        key = features @ self.key + self.key_bias
        lone = (features @ self.single + self.single_bias)[..., 0].relu()
        scores = [key[:, b : b + ROWS] @ query[:, :, b:] for b in range(0, self.frames, ROWS)]
        return features, lone, *scores


class Describes(nn.Module):
    """Features of intervals [N, 3 D] -> logits of velocities [N, 128], shift [N, 2] and presence [N, 2]."""

    def __init__(self, network: Network):
        super().__init__()
        self.velocity, self.rest = network.velocityPredictor, network.refinedOFPredictor

    def forward(self, pair: Tensor) -> tuple[Tensor, ...]:
        return self.velocity(pair), *self.rest(pair).chunk(2, dim=1)


def _kept(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value.detach().clone().contiguous(), requires_grad=False)


def export_transcriber(recipe: str, work: Path) -> None:
    """The transcriber's two files, made in the folder `work`; raises UserError when they do not agree with PyTorch."""
    network = Network("cpu", half=False)
    sound = np.resize(load_audio(REPO / "demo" / "fur_elise.flac")[0][:, 0], network.window * network.hop)
    spectrum = network.framewiseFeatureExtractor.spectrogramExtractor
    settings = {name: getattr(network, name) for name in ("rate", "hop", "frame", "window")}
    settings |= {name: getattr(spectrum.winGen, name).sigmoid().tolist() for name in ("center", "sigma")}
    hears = Hears(network)
    size = hears.up.out_channels
    blocks = [f"scores{b}" for b in range(0, hears.frames, ROWS)]
    power = torch.rand(len(spectrum.winGen.sigma) + 1, hears.frames, network.frame // 2 + 1)
    exports = {
        onnx_network.HEARS: Export(hears, (power,), ["power"], ["features", "lone", *blocks]),
        onnx_network.DESCRIBES: Export(
            Describes(network), (torch.rand(7, 3 * size),), ["pair"], ["velocity", "shift", "presence"], True
        ),
    }
    parts = {path: write(work / path.name, export, settings | {"recipe": recipe}) for path, export in exports.items()}
    ours = onnx_network.OnnxNetwork(*parts.values())
    first = np.zeros(len(EVENTS), int)
    expected, found = network.listen(sound), ours.listen(sound)
    agree("the transcriber's features", found[0], expected[0].numpy())
    (notes, _), (same, _) = network.events(*expected, first), ours.events(*found, first)
    if [(e.pitch, e.has_start, e.has_end) for e in notes] != [(e.pitch, e.has_start, e.has_end) for e in same]:
        raise UserError("The exported transcriber hears other notes than PyTorch's.")
    for name in ("start", "end"):
        times = [np.array([getattr(event, name) for event in events]) for events in (notes, same)]
        if np.abs(times[0] - times[1]).max() > 1e-3:
            raise UserError("The exported transcriber hears notes at other times than PyTorch's.")
    finish(parts)


class Positions(nn.Module):
    """A window [1, W, F] -> what both hands hear of it, as hands.Condition.audio, and positions [1, 2, W, 3]."""

    def __init__(self, networks: TorchNetworks):
        super().__init__()
        self.positions, self.hands = nn.ModuleList(networks.positions), networks.hands

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        features, positions = (
            torch.stack(parts, dim=1) for parts in zip(*(net(window) for net in self.positions), strict=True)
        )
        return self.hands.condition(features, positions).audio, positions


class Gestures(nn.Module):
    """Noisy motion [B, 2, C, W], steps [B] and the parts of hands.Condition -> the prediction [B, 2, C, W]."""

    def __init__(self, networks: TorchNetworks):
        super().__init__()
        self.hands = networks.hands

    def forward(self, x: Tensor, t: Tensor, audio: Tensor, guide: Tensor) -> Tensor:
        return self.hands(x, t, Condition(audio, guide))


def export_model(folder: Path, recipe: str, work: Path) -> None:
    """A model folder's two files, made in the folder `work`.

    Raises UserError where there is no such model, or the files do not agree with PyTorch.
    """
    config = read_config(folder)
    if config.audio.encoder != "notes":
        raise UserError(f"The model in {folder} listens to sound: such models run with PyTorch only.")
    torch.backends.mha.set_fastpath_enabled(False)  # its operators are PyTorch's own
    random, batch = np.random.default_rng(0), 3
    networks = TorchNetworks(folder, config, device="cpu")
    window = random.random((config.window, notes_width(config.audio)), np.float32)
    heard, positions = networks.hear(window)
    conditions = [networks.condition(heard, positions * scale) for scale in np.float32([1.0, 0.5, 0.0])]
    x = random.standard_normal((batch, len(HANDS), config.gesture.outputs, config.window), np.float32)
    t = np.linspace(0, config.diffusion.steps - 1, batch).astype(np.int64)
    example = (torch.from_numpy(x), torch.from_numpy(t), *(torch.cat(parts) for parts in zip(*conditions, strict=True)))
    exports = (
        Export(Positions(networks), (torch.from_numpy(window)[None],), ["window"], ["audio", "positions"], traced=True),
        Export(Gestures(networks), example, ["x", "t", "audio", "guide"], ["prediction"], True, True),
    )
    settings = {"config": configured(folder), "recipe": recipe}
    parts = {
        path: write(work / path.name, export, settings) for path, export in zip(files(folder), exports, strict=True)
    }
    ours = OnnxNetworks(folder, config, list(parts.values()))
    same, found = ours.hear(window)
    agree("positions", found, positions)
    alike = [ours.condition(same, positions * scale) for scale in np.float32([1.0, 0.5, 0.0])]
    for count in (1, batch):
        expected = networks.answer(x[:count], t[:count], conditions[:count])
        agree(f"gestures of {count} windows", ours.answer(x[:count], t[:count], alike[:count]), expected)
    finish(parts)


def write(path: Path, export: Export, settings: dict) -> Path:
    """Export a network to the file `path`, with its settings in it."""
    import onnx

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    names = {"input_names": export.inputs, "output_names": export.outputs}
    if export.traced:
        axes = {name: {0: "batch"} for name in export.inputs} if export.batched else None
        options = {"dynamo": False, "opset_version": TRACED_OPSET, "dynamic_axes": axes}
    else:
        shapes = [{0: torch.export.Dim("batch")} for _ in export.inputs] if export.batched else None
        options = {"dynamo": True, "opset_version": OPSET, "dynamic_shapes": shapes, "external_data": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters about their own code
        network = export.network.eval().requires_grad_(False)
        torch.onnx.export(network, export.example, path, verbose=False, **names, **options)
    model = onnx.load(path)
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.functions, model.graph, model):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")  # file names and lines of this computer
    model.graph.ClearField("value_info")
    _halve(model.graph)
    onnx.helper.set_model_props(model, {"settings": json.dumps(settings, sort_keys=True)})
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def _halve(graph: "onnx.GraphProto") -> None:
    """Keep weights that half precision holds exactly, as those of models that were stored in it, in half the space.

    ONNX Runtime casts them once, when it loads the file.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        half = values.astype(np.float16)
        if values.size < SMALL or not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    graph.ClearField("node")
    graph.node.extend(nodes)


def agree(what: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Raise UserError where an answer differs from PyTorch's by more than rounding."""
    difference = np.abs(found - expected).max() / expected.std()
    print(f"{what}: at most {difference:.1e} standard deviations from PyTorch's")
    if not difference <= AGREED:
        raise UserError(f"{what} differ from PyTorch's by {difference:.1e} standard deviations.")


def finish(parts: dict[Path, Path]) -> None:
    """Give the files their names, each with its SHA-256 in a file beside it."""
    for path, part in parts.items():
        digits = hashlib.sha256(part.read_bytes()).hexdigest()
        os.replace(part, path)
        path.with_name(f"{path.name}.sha256").write_text(f"{digits}  {path.name}\n", encoding="ascii")
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def recipe_of(weights: Sequence[Path]) -> str:
    """What decides what is written: this program, the networks' code, the packages' versions, the weights."""
    digest = hashlib.sha256(repr([(name, version(name)) for name in PACKAGES]).encode())
    networks = sorted([*(REPO / "s2c_blender" / "model").glob("*.py"), *(REPO / "s2c_blender" / "audio").glob("*.py")])
    for path in (Path(__file__), *networks, *weights):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def up_to_date(paths: Sequence[Path], recipe: str) -> bool:
    """Whether files are there, whole, and made by this recipe."""
    for path in paths:
        noted = path.with_name(f"{path.name}.sha256")
        if not path.exists() or not noted.exists():
            return False
        if noted.read_text(encoding="ascii").split()[0] != hashlib.sha256(path.read_bytes()).hexdigest():
            return False
        if open_network(path)[1].get("recipe") != recipe:
            return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL FOLDER")
    parser.add_argument("--force", action="store_true", help="also what is up to date")
    given = parser.parse_args(arguments)
    jobs = [
        (folder, files(folder), [folder / CONFIG, *(folder / f"{hand}.safetensors" for hand in HANDS)])
        for folder in given.models
    ]
    weights = Path(str(resources.files("transkun") / "pretrained" / "2.0.pt"))
    try:
        for folder, paths, sources in jobs or [(None, [onnx_network.HEARS, onnx_network.DESCRIBES], [weights])]:
            recipe = recipe_of(sources)
            if up_to_date(paths, recipe) and not given.force:
                print(f"{paths[0].parent}: up to date")
                continue
            paths[0].parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=paths[0].parent) as work:
                if folder:
                    export_model(folder, recipe, Path(work))
                else:
                    export_transcriber(recipe, Path(work))
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
