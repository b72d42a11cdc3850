# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published checkpoints: every tensor finds its place, and what is no such checkpoint is told in one sentence."""

import json
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from s2c_blender.errors import ENVIRONMENT, Cancelled, UserError
from s2c_blender.model import release, weights
from s2c_blender.model.config import HUBERT_LARGE, FusionConfig, published
from s2c_blender.model.release import convert, expected, import_release, rename
from s2c_blender.model.release_files import choose
from s2c_blender.model.schedule import linear
from s2c_blender.model.weights import load_state, misfit
from tests.model import tiny_release as tiny
from tests.model.tiny_release import Sizes

LEFT, RIGHT = (tiny.checkpoint_name(hand) for hand in ("left", "right"))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("made")
    return folder, tiny.write_release(folder)


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A copy of a small release, to be spoilt."""
    return shutil.copytree(made[0], tmp_path / "release")


@pytest.fixture(scope="session")
def keys_full(shared_dir) -> dict:
    """What is known of the published files' tensors."""
    return json.loads((shared_dir / "parity" / "keys_full.json").read_text())


def refused(folder: Path, **options) -> str:
    """The sentence with which an import is refused, having left nothing."""
    target = folder.parent / "model"
    with pytest.raises(UserError) as caught:
        import_release(folder, target, **options)
    assert not target.exists()
    assert not [path for path in folder.parent.iterdir() if ".part" in path.name]
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("spelling", ["new", "old"])
def test_import_keeps_every_number(tmp_path, spelling):
    states = tiny.write_release(tmp_path / "release" / "inside", spelling=spelling)
    config = import_release(tmp_path / "release", tmp_path / "model")
    assert weights.read_config(tmp_path / "model") == config
    for hand, theirs in states.items():
        gesture, position = (load_state(tmp_path / "model", hand, part) for part in ("gesture.", "position."))
        assert torch.equal(gesture["fusion.q1.weight"], theirs["model.diff_attn.q_proj_left.weight"])
        assert torch.equal(gesture["fusion.k2.weight"], theirs["model.diff_attn.k_proj_right.weight"])
        assert torch.equal(gesture["downs.0.2.norm.g"], theirs["model.downs.0.2.fn.norm.g"])
        memory = theirs["model.transformer_decoder.layers.0.multihead_attn.in_proj_weight"]
        assert torch.equal(gesture["refiner.decoder.layers.0.memory_value.weight"], memory[64:])
        gain = "weight_g" if spelling == "old" else "parametrizations.weight.original0"
        conv = "encoder.pos_conv_embed.conv"
        assert torch.equal(
            position[f"encoder.hubert.{conv}.parametrizations.weight.original0"],
            theirs[f"piano2posi.audio_encoder_cont.{conv}.{gain}"],
        )


def test_the_configuration_is_read_from_shapes_and_arguments(made, tmp_path):
    config = import_release(made[0], tmp_path / "model")
    assert (config.window, config.diffusion.steps, config.diffusion.schedule) == (240, 20, "cosine")
    assert (config.gesture.dim, config.gesture.dim_mults, config.gesture.condition) == (16, (1, 2, 4, 8), 32)
    assert config.gesture.fusion == FusionConfig()
    assert (config.position.width, config.position.refiner.layers, config.position.refiner.hidden) == (24, 1, 64)
    assert config.audio.hubert["num_attention_heads"] == 2
    assert config.gesture.refiner.causal_bias == config.position.refiner.causal_bias == "always"
    assert set(config.meta["files"]) == {LEFT, RIGHT}
    assert config.meta["files"][LEFT] == release.sha256(made[0] / LEFT)


def test_as_trained_leaves_the_mask_out(made, tmp_path):
    config = import_release(made[0], tmp_path / "model", as_trained=True)
    assert config.gesture.refiner.causal_bias == config.position.refiner.causal_bias == "never"


def test_half_precision_takes_half_the_room(made, tmp_path):
    whole, half = tmp_path / "whole", tmp_path / "half"
    import_release(made[0], whole)
    import_release(made[0], half, half=True)
    sizes = [(path / "left.safetensors").stat().st_size for path in (half, whole)]
    assert sizes[0] < 0.55 * sizes[1]
    ours, theirs = (load_state(path, "left", "gesture.")["stem.weight"] for path in (half, whole))
    assert torch.equal(ours, theirs.half().float())


@pytest.mark.parametrize("fusion", range(5))
def test_every_kind_of_fusion(tmp_path, fusion):
    """Its tensors all fit the network, which strict names ensure; unused ones are not kept."""
    tiny.write_release(tmp_path / "r", Sizes(fusion=fusion, layers=2, position_layers=3, steps=50))
    config = import_release(tmp_path / "r", tmp_path / "m")
    assert (config.gesture.fusion.kind, config.gesture.fusion.place) == release_kinds()[fusion]
    assert (config.gesture.refiner.layers, config.position.refiner.layers, config.diffusion.steps) == (2, 3, 50)


def release_kinds() -> list[tuple[str, str]]:
    return [
        ("concat", "before middle"),
        ("concat", "after attention"),
        ("cross", "before middle"),
        ("cross", "after middle"),
        ("hcaa", "after middle"),
    ]


@pytest.mark.parametrize("objective", ["v", "x0", "noise"])
def test_schedule_and_prediction_show_in_the_buffers(folder, objective):
    args = json.loads((folder / "args.txt").read_text())
    del args["obj"]
    (folder / "args.txt").write_text(json.dumps(args | {"timesteps": 100}))
    for name in (LEFT, RIGHT):
        state = torch.load(folder / name, weights_only=False)["state_dict"]
        tiny.save_checkpoint(folder / name, state | tiny.buffers(linear(100), objective), args)
    config = import_release(folder, folder.parent / "model")
    assert (config.diffusion.schedule, config.diffusion.steps, config.diffusion.prediction) == (
        "linear",
        100,
        objective,
    )


def test_small_releases_are_made_like_the_published_one(keys_full):
    found = tiny.shapes(tiny.FULL) | dict.fromkeys(tiny.buffers(linear(1000)), (1000,))
    assert found == {name: tuple(shape) for name, (shape, _) in keys_full["state_dict"].items()}


@pytest.mark.parametrize("spelling", ["new", "old"])
def test_all_published_tensors_fit_the_networks(spelling):
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in tiny.shapes(tiny.FULL, spelling).items()}
    networks = expected(published())
    ours = dict(convert(state, "hcaa"))
    assert misfit(networks, ours) == ""
    assert len(ours) == len(networks) == 963


def test_what_is_left_out_is_what_nothing_uses(keys_full):
    unused = set(keys_full["unused_in_inference_fusion4"]) - {"piano2posi.audio_encoder_cont.masked_spec_embed"}
    dropped = {name for name in keys_full["state_dict"] if rename(name, "hcaa") is None}
    assert dropped == unused | set(tiny.buffers(linear(20)))
    kept = [rename(name, "hcaa") for name in keys_full["state_dict"] if name not in dropped]
    assert len(kept) == len(set(kept))
    assert {rename(name, "hcaa") for name in keys_full["alternative_spelling"]["keys"].values()} <= set(kept)


@pytest.mark.parametrize("fusion", range(4))
def test_other_fusions_of_the_published_size_fit_too(keys_full, fusion):
    """`rename` against the lists of keys that depend on the fusion."""
    differs = keys_full["unet_keys_that_depend_on_fusion"][str(fusion)]
    names = {name.removeprefix("model.") for name in keys_full["state_dict"] if name.startswith("model.")}
    names = names - set(differs["absent_compared_with_fusion4"]) | set(differs["only_in_this_mode"])
    made = {name.removeprefix("model.") for name in tiny.shapes(Sizes(fusion=fusion, layers=4)) if "model." in name}
    assert names == made


# Which files


def test_the_pair_that_the_released_code_shows_is_taken():
    others = [tiny.checkpoint_name(hand, 700000, 0.01) for hand in ("left", "right")]
    files = choose(["args.txt", "args_posi.txt", *others, LEFT, RIGHT, "README.md"])
    assert (files.left.name, files.right.name) == (LEFT, RIGHT)


def test_else_the_pair_of_the_lowest_loss_is_taken():
    names = [
        f"{where}/{tiny.checkpoint_name(hand, iteration, loss)}"
        for where, iteration, loss in (("a", 1000, 0.3), ("b", 2000, 0.2), ("b", 3000, 0.25))
        for hand in ("left", "right")
    ]
    names += [f"{where}/{name}" for where in "ab" for name in ("args.txt", "args_posi.txt")]
    lone = f"b/{tiny.checkpoint_name('left', 4000, 0.1)}"
    files = choose([*names, lone])
    assert str(files.right) == f"b/{tiny.checkpoint_name('right', 2000, 0.2)}"
    assert str(files.args_posi) == "b/args_posi.txt"


def test_folders_without_a_release(folder):
    (folder / RIGHT).unlink()
    assert f"{LEFT} has no file of the right hand beside it" in refused(folder)
    (folder / LEFT).unlink()
    assert "no S2C release there" in refused(folder)
    assert "does not exist" in refused(folder / "nowhere")


@pytest.mark.parametrize("name", ["args.txt", "args_posi.txt"])
def test_arguments_that_are_missing_or_broken(folder, name):
    (folder / name).write_text("--unet_dim 256")
    assert f"{name} cannot be read (it is no JSON)" in refused(folder)
    (folder / name).write_bytes(b"\xff\xfe\x00")
    assert f"{name} cannot be read (it is no JSON)" in refused(folder)
    (folder / name).write_text("[1, 2]")
    assert "holds no training arguments" in refused(folder)
    (folder / name).unlink()
    assert f"{name} is missing beside {LEFT}" in refused(folder)


@pytest.mark.parametrize(
    ("name", "key", "value", "told"),
    [
        ("args.txt", "unet_dim", 32, "unet_dim is 32, but the weights have 16"),
        ("args.txt", "fusion", 3, "fusion is 3, but the weights have 4"),
        ("args.txt", "timesteps", 1000, "timesteps is 1000, but the weights have 20"),
        ("args.txt", "obj", "pred_x0", "obj is 'pred_x0', but the weights have 'pred_v'"),
        ("args.txt", "bs_dim", 122, "bs_dim is 122, but the weights have 96"),
        ("args.txt", "encoder_type", "mamba", "asks for encoder_type 'mamba'"),
        ("args.txt", "train_sec", "long", "train_sec is 'long', which should be a whole number"),
        ("args_posi.txt", "feature_dim", 512, "feature_dim is 512, but the weights have 24"),
        ("args_posi.txt", "num_layer", 4, "num_layer is 4, but the weights have 1"),
        ("args_posi.txt", "latest_layer", "sigmoid", "asks for latest_layer 'sigmoid'"),
        ("args_posi.txt", "hubert_config", {"hidden_size": 1024}, "hidden_size of HuBERT is 1024"),
        ("args.txt", "train_sec", 7, "networks that cannot be (window must be a multiple of 8"),
        ("args_posi.txt", "hubert_config", {"conv_stride": 5}, "networks that cannot be (object of type 'int' has no"),
        ("args_posi.txt", "hubert_config", {"num_attention_heads": 3}, "settings of HuBERT make none (embed_dim must"),
    ],
)
def test_arguments_that_contradict_the_weights(folder, name, key, value, told):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    assert told in refused(folder)


def test_arguments_may_say_less(folder):
    (folder / "args.txt").write_text("{}")
    hubert = json.loads((folder / "args_posi.txt").read_text())["hubert_config"]
    (folder / "args_posi.txt").write_text(json.dumps({"hubert_config": hubert}))
    config = import_release(folder, folder.parent / "model")
    assert (config.window, config.gesture.fusion.kind, config.position.refiner.bias_period) == (240, "hcaa", 30)


# An audio encoder from elsewhere


PREFIX = "piano2posi.audio_encoder_cont."
BIAS, GAIN = "feature_projection.projection.bias", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"


@pytest.fixture
def hubert(tmp_path) -> Path:
    """A folder as transformers stores it, of the small release's size, all its biases being 7."""
    from transformers import HubertConfig, HubertForCTC

    settings = HUBERT_LARGE | {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "conv_dim": [16] * 7,
    }
    model = HubertForCTC(HubertConfig(**settings))
    torch.nn.init.constant_(model.hubert.feature_projection.projection.bias, 7.0)
    model.save_pretrained(tmp_path / "hubert")
    return tmp_path / "hubert"


def without(folder: Path, *beginnings: str) -> None:
    """Take tensors out of a release, and with the whole encoder what is said of it."""
    for name in (LEFT, RIGHT):
        content = torch.load(folder / name, weights_only=False)
        state = {key: value for key, value in content["state_dict"].items() if not key.startswith(beginnings)}
        torch.save(content | {"state_dict": state}, folder / name)
    if PREFIX in beginnings:
        args = json.loads((folder / "args_posi.txt").read_text())
        del args["hubert_config"]
        (folder / "args_posi.txt").write_text(json.dumps(args))


def test_a_missing_audio_encoder_comes_from_a_folder(folder, hubert):
    without(folder, PREFIX)
    assert "lacks tensors of its audio encoder: give the folder of hubert-large-ls960-ft with --hubert" in refused(
        folder
    )
    config = import_release(folder, folder.parent / "model", hubert=hubert)
    assert config.audio.hubert["num_attention_heads"] == 4
    for hand in ("left", "right"):
        ours = load_state(folder.parent / "model", hand, "position.encoder.hubert.")
        assert (ours[BIAS] == 7).all()


def test_what_a_checkpoint_has_of_its_encoder_takes_precedence(made, folder, hubert):
    theirs = made[1]["left"]
    config = import_release(folder, folder.parent / "whole", hubert=hubert)
    assert config.audio.hubert["num_attention_heads"] == 2
    ours = load_state(folder.parent / "whole", "left", "position.encoder.hubert.")
    assert all(torch.equal(value, theirs[PREFIX + name]) for name, value in ours.items())
    without(folder, PREFIX + BIAS)
    assert "lacks tensors of its audio encoder" in refused(folder)
    import_release(folder, folder.parent / "part", hubert=hubert)
    ours = load_state(folder.parent / "part", "left", "position.encoder.hubert.")
    assert (ours.pop(BIAS) == 7).all()
    assert all(torch.equal(value, theirs[PREFIX + name]) for name, value in ours.items())


def test_encoders_in_the_older_format_and_spelling(tmp_path, hubert):
    """Weights as pytorch_model.bin; and a checkpoint in the old spelling of weight normalisation lacks nothing."""
    from safetensors.torch import load_file

    states = tiny.write_release(tmp_path / "release", spelling="old")
    stored = load_file(hubert / "model.safetensors")
    (hubert / "model.safetensors").unlink()
    torch.save(stored, hubert / "pytorch_model.bin")
    import_release(tmp_path / "release", tmp_path / "model", hubert=hubert)
    ours = load_state(tmp_path / "model", "right", "position.encoder.hubert.")
    assert torch.equal(ours[GAIN], states["right"][f"{PREFIX}encoder.pos_conv_embed.conv.weight_g"])
    without(tmp_path / "release", PREFIX)
    import_release(tmp_path / "release", tmp_path / "model", hubert=hubert)
    assert (load_state(tmp_path / "model", "right", "position.encoder.hubert.")[BIAS] == 7).all()


def test_folders_without_a_hubert(folder, hubert):
    from safetensors.torch import load_file, save_file

    without(folder, PREFIX)
    assert "does not exist" in refused(folder, hubert=hubert / "nowhere")
    assert "holds no whole HuBERT" in refused(folder, hubert=folder)
    weights_file = hubert / "model.safetensors"
    stored = load_file(weights_file)
    save_file(
        {name: value for name, value in stored.items() if not name.endswith(BIAS)}, weights_file, {"format": "pt"}
    )
    assert f"({BIAS} is missing)" in refused(folder, hubert=hubert)
    weights_file.write_bytes(b"<html>404</html>")
    assert "holds no whole HuBERT" in refused(folder, hubert=hubert)
    weights_file.unlink()
    assert "holds no whole HuBERT" in refused(folder, hubert=hubert)
    trace = folder.parent / "trace"
    torch.save({"weight": Harmful(trace)}, hubert / "pytorch_model.bin")
    assert "holds no whole HuBERT" in refused(folder, hubert=hubert)
    assert not trace.exists()
    (hubert / "config.json").write_text('{"model_type": "wav2vec2"}')
    assert "its config.json is of wav2vec2" in refused(folder, hubert=hubert)


def test_an_encoder_of_another_size(folder, hubert):
    """Half of it from the checkpoint, half from the folder: that fits only when both are of one size."""
    from transformers import HubertConfig, HubertModel

    settings = json.loads((hubert / "config.json").read_text())
    without(folder, f"{PREFIX}encoder.")
    HubertModel(HubertConfig(**settings | {"hidden_size": 64})).save_pretrained(hubert)
    assert "is no checkpoint of S2C" in refused(folder, hubert=hubert)


# Broken and foreign checkpoints


@pytest.mark.parametrize("keep", [0, 1, 1000, -1, -30])
def test_truncated_checkpoints(folder, keep):
    whole = (folder / LEFT).read_bytes()
    (folder / LEFT).write_bytes(whole[:keep])
    assert "download it again" in refused(folder)


def test_files_that_are_no_checkpoints(folder):
    (folder / LEFT).write_bytes(b"<html>404</html>" * 100)
    assert f"{LEFT} is no PyTorch checkpoint" in refused(folder)
    (folder / LEFT).unlink()
    shutil.make_archive(str(folder / "zip"), "zip", folder, RIGHT)
    (folder / "zip.zip").rename(folder / LEFT)
    assert f"{LEFT} is damaged or no PyTorch checkpoint" in refused(folder)


@pytest.mark.parametrize("content", [[1, 2], {"weights": {}}, {"state_dict": [1]}, {"state_dict": {"a": 1}}])
def test_checkpoints_of_another_shape(folder, content):
    torch.save(content, folder / RIGHT)
    assert f"{RIGHT} is no checkpoint of S2C" in refused(folder)


class Harmful:
    """Runs a command when it is unpickled carelessly."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickled_code_is_not_run(folder):
    trace = folder.parent / "trace"
    torch.save({"state_dict": {}, "hyper_parameters": Harmful(trace)}, folder / LEFT)
    torch.load(folder / LEFT, weights_only=False)
    assert trace.exists(), "the file is not harmful at all"
    trace.unlink()
    assert "nothing in it was run" in refused(folder)
    assert not trace.exists()


def spoil(folder: Path, change: dict) -> None:
    """Change tensors of the left hand's file; None removes one."""
    content = torch.load(folder / LEFT, weights_only=False)
    state = content["state_dict"] | change
    state = {name: value for name, value in state.items() if value is not None}
    torch.save(content | {"state_dict": state}, folder / LEFT)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model.init_conv.weight": None}, "has no model.init_conv.weight"),
        ({"model.ups.2.1.mlp.1.bias": None}, "gesture.ups.2.1.mlp.1.bias is missing"),
        ({"model.final_conv.bias": torch.zeros(47)}, "gesture.out.bias is 47 instead of 48"),
        ({"model.extra.weight": torch.zeros(1)}, "model.extra.weight, which the S2C release has not"),
        ({"model.downs.0.9.weight": torch.zeros(1)}, "gesture.downs.0.9.weight is unknown"),
        ({"optimizer": torch.zeros(1)}, "optimizer, which the S2C release has not"),
        ({"betas": None}, "has no betas"),
        ({"betas": torch.linspace(0.1, 0.2, 20)}, "neither cosine nor linear"),
        ({"alphas_cumprod": torch.zeros(20)}, "neither cosine nor linear"),
        ({"model.final_conv.bias": torch.full((48,), float("nan"))}, "gesture.out.bias of the left hand is damaged"),
    ],
)
def test_tensors_that_do_not_fit(folder, change, told):
    spoil(folder, change)
    assert told in refused(folder)


def test_hands_of_different_models(folder):
    other = tiny.state(Sizes(layers=2), 0)
    tiny.save_checkpoint(folder / RIGHT, other, {})
    args = json.loads((folder / "args.txt").read_text())
    del args["num_layer"]
    (folder / "args.txt").write_text(json.dumps(args))
    assert "are of different models" in refused(folder)


def test_a_full_disk_is_told_before_anything_is_written(folder, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(UserError, match="The disk is full") as caught:
        import_release(folder, folder.parent / "model")
    assert caught.value.exit_code == ENVIRONMENT


def test_cancelling_leaves_nothing(folder):
    def stop(stage: str, fraction: float) -> None:
        if fraction >= 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        import_release(folder, folder.parent / "model", on_progress=stop)
    assert {path.name for path in folder.parent.iterdir()} == {"release"}


def test_progress_rises_to_the_end(folder):
    told = []
    import_release(folder, folder.parent / "model", on_progress=lambda stage, fraction: told.append(fraction))
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_the_checked_schedule_is_the_published_one(shared_dir):
    """Buffers of both schedules as upstream stored them pass the check that an import makes."""
    from safetensors.numpy import load_file

    from s2c_blender.model.release_config import schedule_buffers
    from s2c_blender.model.schedule import make_schedule

    stored = load_file(shared_dir / "parity" / "sampler_tiny.safetensors")
    for kind in ("cosine", "linear"):
        for name, values in schedule_buffers(make_schedule(kind, 1000)).items():
            assert np.allclose(stored[f"sched.{kind}.1000.{name}"], values, rtol=1e-4, atol=1e-6), (kind, name)
