# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties of the networks that hold whatever their weights are."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from s2c_blender.errors import UserError
from s2c_blender.model.config import (
    AudioConfig,
    DiffusionConfig,
    FusionConfig,
    GestureConfig,
    ModelConfig,
    PositionConfig,
    RefinerConfig,
    published,
    small,
)
from s2c_blender.model.diffusion import Diffusion
from s2c_blender.model.encoders import features_width, make_encoder
from s2c_blender.model.features import NOTE_FEATURES
from s2c_blender.model.fusion import HandCoordinatedAsymmetricAttention
from s2c_blender.model.hands import DualStream, OnePass, SingleStream, make_hands
from s2c_blender.model.layers import Refiner, causal_bias
from s2c_blender.model.position import PositionNet
from s2c_blender.model.schedule import make_schedule
from tests.model.tiny_model import HUBERT

N = 64  # frames of the tests' windows

FUSIONS = {
    "none": FusionConfig("none"),
    "concat before middle": FusionConfig("concat", "before middle"),
    "concat after attention": FusionConfig("concat", "after attention"),
    "cross before middle": FusionConfig("cross", "before middle"),
    "cross": FusionConfig("cross"),
    "hcaa": FusionConfig("hcaa"),
    "hcaa of the paper": FusionConfig("hcaa", causal=False, norm_and_mlp=False, lambda_init=0.8),
}


def tiny(fusion: FusionConfig = FUSIONS["hcaa"], **gesture) -> ModelConfig:
    return ModelConfig(
        window=N,
        audio=AudioConfig("notes", width=8, layers=2),
        position=PositionConfig(width=16, refiner=RefinerConfig(1, hidden=32)),
        gesture=GestureConfig(dim=8, condition=16, refiner=RefinerConfig(1, hidden=32), fusion=fusion, **gesture),
    )


def networks(config: ModelConfig, spread: float = 0.1) -> DualStream:
    """With every parameter random, norms' gains too, so that nothing hides behind an identity."""
    torch.manual_seed(0)
    net = DualStream(config).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return net


def inputs(config: ModelConfig, batch: int = 2):
    torch.manual_seed(1)
    x = torch.randn(batch, 2, config.gesture.channels, N)
    t = torch.randint(0, config.diffusion.steps, (batch,))
    return x, t, torch.randn(batch, 2, N, features_width(config.audio)), torch.rand(batch, 2, N, 3) * 2 - 1


@torch.no_grad()
def answer(net, config: ModelConfig, x, t, features, positions):
    return net(x, t, net.condition(features, positions))


@torch.no_grad()
def test_hcaa_without_lambda_is_self_attention():
    """exp(0) - exp(0) + 0 = 0: what is left of the paper's equation 7 is the own hand's multi-head attention."""
    torch.manual_seed(0)
    width, heads = 32, 4
    hcaa = HandCoordinatedAsymmetricAttention(width, FusionConfig("hcaa", "after middle", heads, False, False, 0.0))
    for name in ("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2"):
        getattr(hcaa, name).zero_()
    plain = nn.MultiheadAttention(width, heads, bias=False, batch_first=True)
    plain.in_proj_weight.copy_(torch.cat([hcaa.q1.weight, hcaa.k1.weight, hcaa.v1.weight]))
    plain.out_proj.weight.copy_(torch.eye(width))
    own, other = torch.randn(3, 20, width), torch.randn(3, 20, width)
    torch.testing.assert_close(hcaa(own, other), plain(own, own, own)[0])
    hcaa.lambda_init = 0.3  # and with lambda, the other hand's own attention is taken away
    plain.in_proj_weight.copy_(torch.cat([hcaa.q2.weight, hcaa.k2.weight, hcaa.v2.weight]))
    torch.testing.assert_close(
        hcaa(own, other) - hcaa(own, torch.zeros_like(other)), -0.3 * plain(other, other, other)[0]
    )


@torch.no_grad()
def test_hcaa_with_a_causal_mask_knows_nothing_of_the_future():
    torch.manual_seed(0)
    own, other = torch.randn(1, 20, 32), torch.randn(1, 20, 32)
    changed_own, changed_other = own.clone(), other.clone()
    changed_own[:, 12:] += 1.0
    changed_other[:, 12:] += 1.0
    for causal in (True, False):
        hcaa = HandCoordinatedAsymmetricAttention(32, FusionConfig("hcaa", "after middle", 4, causal))
        moved = (hcaa(changed_own, changed_other) - hcaa(own, other)).abs().amax(dim=(0, 2))
        assert (moved[:12].max() < 1e-6) == causal
        assert moved[12:].min() > 1e-3


@pytest.mark.parametrize("fusion", FUSIONS.values(), ids=FUSIONS.keys())
@torch.no_grad()
def test_swapping_the_hands_swaps_the_outputs(fusion: FusionConfig):
    config = tiny(fusion)
    net = networks(config)
    swapped = copy.deepcopy(net)
    swapped.left, swapped.right = swapped.right, swapped.left
    x, t, features, positions = inputs(config)
    there = answer(net, config, x, t, features, positions)
    back = answer(swapped, config, x.flip(1), t, features.flip(1), positions.flip(1))
    torch.testing.assert_close(back, there.flip(1))
    assert (there[:, 0] - there[:, 1]).abs().max() > 0.01


@pytest.mark.parametrize("fusion", FUSIONS.values(), ids=FUSIONS.keys())
@torch.no_grad()
def test_the_other_hand_matters_just_where_they_meet(fusion: FusionConfig):
    config = tiny(fusion, guide="own")
    net = networks(config)
    x, t, features, positions = inputs(config)
    other = x.clone()
    other[:, 1] += 1.0
    change = answer(net, config, other, t, features, positions) - answer(net, config, x, t, features, positions)
    assert change[:, 1].abs().max() > 1e-3
    assert (change[:, 0].abs().max() > 1e-5) == (fusion.kind != "none")


@pytest.mark.parametrize("fusion", FUSIONS.values(), ids=FUSIONS.keys())
@torch.no_grad()
def test_both_hands_in_one_pass_answer_the_same(fusion: FusionConfig):
    config = tiny(fusion)
    net = networks(config)
    x, t, features, positions = inputs(config)
    condition = net.condition(features, positions)
    torch.testing.assert_close(OnePass(net)(x, t, condition), net(x, t, condition), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("dtype", "limit"), [(torch.bfloat16, 0.03), (torch.float16, 0.004)], ids=["bf16", "fp16"])
@torch.no_grad()
def test_half_precision_stays_near_float32(dtype: torch.dtype, limit: float):
    config = replace(small(), window=N)
    net = networks(config, spread=0.02)
    x, t, features, positions = inputs(config)
    exact = answer(net, config, x, t, features, positions)
    rough = answer(net.to(dtype), config, x.to(dtype), t, features.to(dtype), positions.to(dtype)).float()
    assert (rough - exact).square().mean().sqrt() / exact.std() < limit


@torch.no_grad()
def test_a_windows_answer_does_not_depend_on_its_batch_unless_asked_to():
    torch.manual_seed(0)
    x = torch.randn(3, N, 16)
    for causal, same in (("never", True), ("always", True), ("batch of one", False)):
        refiner = Refiner(16, RefinerConfig(1, hidden=32, causal_bias=causal)).eval()
        together, alone = refiner(x)[:1], refiner(x[:1])
        assert torch.allclose(together, alone, atol=1e-5) == same
    assert not torch.allclose(Refiner(16, RefinerConfig(1, hidden=32, causal_bias="always")).eval()(x), refiner(x))


def test_causal_bias_by_hand():
    bias = causal_bias(4, 64, 30)
    assert bias.shape == (4, 64, 64)
    assert torch.isinf(bias[:, 3, 4]).all()  # the future
    assert (bias[:, 40, 11:41] == 0).all()  # less than a second ago
    torch.testing.assert_close(bias[:, 63, 3], torch.tensor([-2 / 4, -2 / 16, -2 / 64, -2 / 256]))


@torch.no_grad()
def test_position_predictor_answers_within_its_range():
    config = tiny()
    torch.manual_seed(0)
    features, position = PositionNet(config).eval()(50 * torch.randn(2, N, NOTE_FEATURES))
    assert features.shape == (2, N, features_width(config.audio))
    assert position.shape == (2, N, 3)
    assert 0.5 < position.abs().max() <= 1.0


@pytest.mark.parametrize(
    ("audio", "window", "width"),
    [
        (AudioConfig("notes", width=8, layers=2), torch.rand(2, 30, NOTE_FEATURES), NOTE_FEATURES + 8),
        (AudioConfig("hubert", HUBERT), torch.rand(2, 16000), 16),
    ],
    ids=["notes", "hubert"],
)
@torch.no_grad()
def test_all_encoders_are_called_alike(audio: AudioConfig, window: torch.Tensor, width: int):
    encoder = make_encoder(audio).eval()
    assert encoder(window, 30).shape == (2, 30, width)
    assert encoder.width == features_width(audio) == width
    named = [name for name in PositionNet(replace(tiny(), audio=audio)).state_dict() if name.startswith("encoder.")]
    assert named
    if audio.encoder == "hubert":
        assert all(name.startswith("encoder.hubert.") for name in named)


@torch.no_grad()
def test_the_note_encoder_hears_before_and_after():
    """The notes stay as they are, and are known a second before they sound and after: the rest has no sense of time."""
    torch.manual_seed(0)
    encoder = make_encoder(AudioConfig("notes")).eval()
    window = torch.zeros(2, 240, NOTE_FEATURES)
    window[1, 120, 40] = 0.7
    silence, note = encoder(window, 240)
    torch.testing.assert_close(note[:, :NOTE_FEATURES], window[1])
    learned = (note - silence)[:, NOTE_FEATURES:].abs()
    assert (learned[90:151].amax(dim=1) > 1e-4).all()
    assert not torch.allclose(learned[110], learned[130])


@pytest.mark.parametrize(
    "change", [{"num_attention_heads": 3}, {"conv_stride": [5]}, {"hidden_act": "none"}, {"hidden_size": 10**12}]
)
def test_settings_that_make_no_hubert_are_told(change: dict):
    with torch.device("meta"), pytest.raises(UserError, match=r"^The model's settings of HuBERT make none \(.+\): get"):
        make_encoder(AudioConfig("hubert", HUBERT | change))


@pytest.mark.parametrize("prediction", ["v", "x0", "noise"])
def test_every_prediction_can_be_learned(prediction: str):
    """A few steps on one example lower the loss of either hand, through both networks."""
    config = replace(tiny(), diffusion=DiffusionConfig(100, "cosine", prediction, "decoupled", 0.1, 0.1))
    net, diffusion = networks(config), Diffusion(config.diffusion)
    x0, _, features, positions = inputs(config)
    x0 = torch.tanh(x0.cumsum(dim=-1) / 10)
    noise, t = torch.randn_like(x0), torch.tensor([50, 20])
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        loss = diffusion.loss(net, x0, noise, t, net.condition(features, positions))
        losses.append(loss.detach())
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
    assert losses[0].shape == (2,)
    assert (losses[-1] < 0.7 * losses[0]).all()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for n, p in net.named_parameters())


def test_steps_weigh_as_configured():
    x0 = torch.rand(2, 2, 48, N) * 2 - 1
    noise, t = torch.randn_like(x0), torch.tensor([950, 5])

    def silent(xt, t, condition):
        return torch.zeros_like(xt)

    even, released, detail = (
        Diffusion(DiffusionConfig(schedule="linear", weighting=weighting)).loss(silent, x0, noise, t, None)
        for weighting in ("even", "snr", "detail")
    )
    unweighted = 0.5 * ((x0[0] ** 2).mean((1, 2)) + (noise[1] ** 2).mean((1, 2)))  # v is -x0 in noise, and noise in x0
    torch.testing.assert_close(even, unweighted, rtol=0.02, atol=0)
    torch.testing.assert_close(released, 0.5 * (noise[1] ** 2).mean((1, 2)), rtol=0.02, atol=0)
    # An error of v is one of the clean motion times the noise: nearly 1 at step 950, 0.0009 (of the power) at step 5.
    power = 1 - make_schedule("linear", 1000).alpha_bar[5]
    weighed = 0.5 * ((x0[0] ** 2).mean((1, 2)) + 5 * power * (noise[1] ** 2).mean((1, 2)))
    torch.testing.assert_close(detail, weighed.float(), rtol=0.02, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["cross", "hcaa"])
def test_a_residual_keeps_what_the_hand_knows(kind: str):
    """Where the meeting answers nothing, a hand goes on with its own features; without a residual they are lost."""
    kept, lost = (networks(tiny(FusionConfig(kind, residual=residual))) for residual in (True, False))
    for net in (kept, lost):
        for parameter in net.left.fusion.parameters():
            parameter.zero_()
    x, t, features, positions = inputs(kept.config)
    own, other = (kept.left.down(x[:, i], t, features[:, i, :, :16].mT, positions.mT.flatten(1, 2)) for i in (0, 1))
    torch.testing.assert_close(kept.left.fuse(own, other), own.x)
    assert not lost.left.fuse(own, other).any()


def test_frames_that_are_not_known_teach_nothing():
    diffusion = Diffusion(DiffusionConfig(100, "cosine", "v", "decoupled", 0.1, 0.1))
    x0, noise, t = torch.rand(2, 2, 48, N) * 2 - 1, torch.randn(2, 2, 48, N), torch.tensor([3, 77])
    valid = torch.ones(2, 2, N, dtype=torch.bool)
    valid[:, 0, 20:30] = False

    def silent(xt, t, condition):
        return torch.zeros_like(xt)

    loss = diffusion.loss(silent, x0, noise, t, None, valid)
    x0[:, :, :, 20:30] = 9.0
    left, right = diffusion.loss(silent, x0, noise, t, None, valid)
    torch.testing.assert_close(left, loss[0])
    assert right > 2 * loss[1]
    everything = diffusion.loss(silent, x0, noise, t, None)
    torch.testing.assert_close(diffusion.loss(silent, x0, noise, t, None, torch.ones_like(valid)), everything)


def test_positions_are_shown_as_large_as_configured():
    config = tiny(guide_scale=10.0)
    _, _, features, positions = inputs(config)
    with torch.no_grad():
        shown = networks(config).condition(features, positions).guide
    torch.testing.assert_close(shown[:, 1, :3], 10 * positions[:, 1].mT)
    torch.testing.assert_close(shown[:, 1, 3:], 10 * positions[:, 0].mT)


def test_a_single_stream_moves_both_hands():
    """The baseline: both hands' poses and positions reach both hands' answers; it is used and trained as two are."""
    config = tiny(FUSIONS["none"], streams="single")
    torch.manual_seed(0)
    net = make_hands(config).eval()
    assert isinstance(net, SingleStream)
    x, t, features, positions = inputs(config)
    before = answer(net, config, x, t, features, positions)
    assert before.shape == x.shape
    for changed in (
        (x.index_add(1, torch.tensor([0]), torch.ones_like(x[:, :1])), features, positions),
        (x, features.index_add(1, torch.tensor([0]), torch.ones_like(features[:, :1])), positions),
        (x, features, positions.index_add(1, torch.tensor([0]), torch.ones_like(positions[:, :1]))),
    ):
        after = answer(net, config, changed[0], t, *changed[1:])
        assert ((after - before).abs().amax((2, 3)) > 1e-4).all()  # either hand's
    loss = Diffusion(config.diffusion).loss(net, x, torch.randn_like(x), t, net.condition(features, positions))
    loss.sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


@torch.no_grad()
def test_exact_prediction_has_no_loss():
    diffusion = Diffusion(DiffusionConfig(100, "cosine", "v", "decoupled", 0.1, 0.1))
    x0, noise, t = torch.rand(2, 2, 48, N) * 2 - 1, torch.randn(2, 2, 48, N), torch.tensor([3, 77])

    def oracle(xt, t, condition):
        torch.testing.assert_close(xt, diffusion.noisy(x0, noise, t))
        signal, spread = (table[t][:, None, None, None] for table in (diffusion.signal, diffusion.noise))
        return signal * noise - spread * x0

    assert diffusion.loss(oracle, x0, noise, t, None).max() < 1e-9


def test_published_and_small_sizes():
    """As many parameters as parity fact 9 counts, less those that nothing uses (fact 5.5, and rows of fact 4)."""
    with torch.device("meta"):
        big, little = DualStream(published()).left, DualStream(small()).left
    unused = 33_572_864 + 4 * (2 * 1024 * 1024 + 2 * 1024)
    assert sum(p.numel() for p in big.parameters()) == 384_159_280 - unused
    assert 6e6 < sum(p.numel() for p in little.parameters()) < 12e6
