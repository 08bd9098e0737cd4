"""Import of Zero-123 and CLIP from random weights written in those programs' formats."""

import collections
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_networks_model import tiny

from xr2mri_core.baselines import DepthGuidance, TextGuidance, XDiffusionGuidance
from xr2mri_core.errors import OutputError, WeightsError
from xr2mri_core.networks.checkpoint_file import read_checkpoint
from xr2mri_core.networks.pretrained import import_weights, load_parts

WIDTH = 16


def random_like(module, seed):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(value.shape, generator=generator)
        for name, value in module.state_dict().items()
    }


def ldm_resnet(name):
    for new, old in (
        ("norm1", "in_layers.0"),
        ("conv1", "in_layers.2"),
        ("norm2", "out_layers.0"),
        ("conv2", "out_layers.3"),
        ("time_emb_proj", "emb_layers.1"),
        ("conv_shortcut", "skip_connection"),
    ):
        name = name.replace(new, old)
    return name


def ldm_unet(state, layers=1, levels=2):
    """diffusers' names -> those of the ldm code that Zero-123 is written in."""
    fixed = {
        "conv_in": "input_blocks.0.0",
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }

    def renamed(name):
        stem, _, last = name.rpartition(".")
        if stem in fixed:
            return f"{fixed[stem]}.{last}"
        if found := re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", name):
            kind, index, rest = found.groups()
            number = 1 if kind == "attentions" else 2 * int(index)
            return f"middle_block.{number}.{ldm_resnet(rest) if kind == 'resnets' else rest}"
        half, level, kind, index, rest = re.match(
            r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.*)", name
        ).groups()
        level, index = int(level), int(index)
        if half == "down":
            number = 1 + level * (layers + 1) + (layers if kind == "downsamplers" else index)
            if kind == "downsamplers":
                return f"input_blocks.{number}.0.op.{last}"
            block = "input_blocks"
        else:
            number = level * (layers + 1) + (layers if kind == "upsamplers" else index)
            block = "output_blocks"
            if kind == "upsamplers":
                attends = any(f"up_blocks.{level}.attentions" in key for key in state)
                return f"{block}.{number}.{2 if attends else 1}.{rest}"
        if kind == "resnets":
            return f"{block}.{number}.0.{ldm_resnet(rest)}"
        return f"{block}.{number}.1.{rest}"

    return {f"model.diffusion_model.{renamed(name)}": value for name, value in state.items()}


def ldm_autoencoder(state, levels=2):
    def renamed(name):
        name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("group_norm", "norm")
        name = re.sub(r"to_([qkv])\.", r"\1.", name).replace("to_out.0", "proj_out")
        name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
        name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)

        def mirrored(found):  # ldm counts the decoder's levels from the image inwards
            return f"up.{levels - 1 - int(found[1])}.{found[2]}"

        name = re.sub(r"up_blocks\.(\d)\.(resnets)", mirrored, name)
        name = re.sub(r"up_blocks\.(\d)\.(upsamplers)\.0", mirrored, name)
        return name.replace("resnets", "block").replace("upsamplers", "upsample")

    return {
        "first_stage_model." + renamed(name): (
            value[..., None, None]
            if "attentions" in name and name.endswith("weight") and value.ndim == 2
            else value
        )
        for name, value in state.items()
    }


@pytest.fixture
def model():
    return tiny(paper_like=True, width=WIDTH)


@pytest.fixture
def truth(model):
    """The weights of an imaginary training of Zero-123, by diffusers' names."""
    return {
        "unet": random_like(model.unet, 1),
        "autoencoder": random_like(model.autoencoder, 2),
        "clip": random_like(model.image_encoder.clip, 3),
        "projection": torch.randn(WIDTH, WIDTH + 4, generator=torch.Generator().manual_seed(4)),
        "bias": torch.randn(WIDTH, generator=torch.Generator().manual_seed(5)),
    }


@pytest.fixture
def zero123(truth):
    """A state as Zero-123 checkpoints hold it."""
    return {
        **ldm_unet(truth["unet"]),
        **ldm_autoencoder(truth["autoencoder"]),
        **{f"cond_stage_model.model.visual.{n}": v for n, v in truth["clip"].items()},
        "cond_stage_model.model.token_embedding.weight": torch.zeros(2, 2),
        "cc_projection.weight": truth["projection"],
        "cc_projection.bias": truth["bias"],
        "betas": torch.linspace(0.00085, 0.012, 1000),
        "model_ema.decay": torch.tensor(0.9999),
    }


def same(state, other):
    return set(state) == set(other) and all(torch.equal(state[n], other[n]) for n in state)


@pytest.mark.parametrize("suffix", ["ckpt", "safetensors"])
def test_zero123_comes_in_whole(tmp_path, model, truth, zero123, suffix):
    source, out = tmp_path / f"zero123.{suffix}", tmp_path / "parts.safetensors"
    if suffix == "ckpt":
        torch.save({"epoch": 3, "global_step": 105000, "state_dict": zero123}, source)
    else:
        save_file(zero123, source)
    report = import_weights("zero123", source, out, model)
    assert report.matched["unet"] == len(truth["unet"])
    assert report.matched["autoencoder"] == len(truth["autoencoder"])
    assert report.matched["image_encoder.clip"] == len(truth["clip"])
    assert report.ignored == {"cond_stage_model": 1, "betas": 1, "model_ema": 1}
    assert "matched: " in str(report) and str(source) in str(report)
    scale = model.scaling_factor
    filled = load_parts(model, out)
    assert filled == sorted(report.matched)
    assert model.scaling_factor == scale
    assert same(model.unet.state_dict(), truth["unet"])
    assert same(model.autoencoder.state_dict(), truth["autoencoder"])
    assert same(model.image_encoder.clip.state_dict(), truth["clip"])


def test_the_projection_becomes_the_tokens_of_both_halves(tmp_path, model, truth, zero123):
    """Before training the tokens are Zero-123's for an unrotated view."""
    save_file(zero123, tmp_path / "zero123.safetensors")
    out = tmp_path / "parts.safetensors"
    import_weights("zero123", tmp_path / "zero123.safetensors", out, model)
    load_parts(model, out)
    embedding, pose = torch.randn(3, WIDTH), torch.tensor([0.0, 0.0, 1.0, 0.0]).expand(3, 4)
    expected = torch.cat([embedding, pose], 1) @ truth["projection"].T + truth["bias"]
    signals = model.guidance(embedding, torch.rand(3), torch.ones(3, 65))
    torch.testing.assert_close(signals.down_context[:, 0], expected)
    torch.testing.assert_close(signals.up_context[:, 0], expected)


@pytest.mark.parametrize("guidance", [XDiffusionGuidance, TextGuidance, DepthGuidance])
def test_a_compared_method_starts_from_zero123_too(tmp_path, model, truth, zero123, guidance):
    """With the token of an unrotated view, where it has one of the radiograph."""
    save_file(zero123, tmp_path / "zero123.safetensors")
    out = tmp_path / "parts.safetensors"
    import_weights("zero123", tmp_path / "zero123.safetensors", out, model)
    method = tiny(7, paper_like=True, width=WIDTH)
    method.guidance = guidance(cross_attention_dim=WIDTH, time_embed_dim=32)
    assert {"unet", "autoencoder", "image_encoder.clip"} <= set(load_parts(method, out))
    assert same(method.unet.state_dict(), truth["unet"])
    embedding, pose = torch.randn(3, WIDTH), torch.tensor([0.0, 0.0, 1.0, 0.0]).expand(3, 4)
    expected = torch.cat([embedding, pose], 1) @ truth["projection"].T + truth["bias"]
    if guidance is DepthGuidance:  # its one token knows nothing of the radiograph
        expected = torch.zeros(3, WIDTH)
    token = method.guidance.token(embedding, torch.rand(3), torch.zeros(3, 65))[:, 0]
    torch.testing.assert_close(token, expected)


def test_lightning_checkpoints_open_without_lightning(tmp_path, model, zero123, monkeypatch):
    import sys
    import types

    package, leaf = "pytorch_lightning.callbacks", "pytorch_lightning.callbacks.model_checkpoint"
    for name in ("pytorch_lightning", package, leaf):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    callback = type("ModelCheckpoint", (), {"__module__": leaf})
    sys.modules[leaf].ModelCheckpoint = callback
    content = {"state_dict": zero123, "callbacks": {callback: {"best_model_score": torch.ones(1)}}}
    torch.save(content, tmp_path / "zero123.ckpt")
    monkeypatch.undo()
    assert same(read_checkpoint(tmp_path / "zero123.ckpt"), zero123)


def test_no_pickle_is_executed(tmp_path, model):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "evil"), "w"))

    torch.save({"state_dict": {"a": torch.zeros(1)}, "hparams": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(WeightsError, match=r"wants to run .*open, .*not opened for safety"):
        import_weights("zero123", tmp_path / "evil.ckpt", tmp_path / "out.safetensors", model)
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "out.safetensors").exists()


class Tower(torch.nn.Module):
    """Something with a `visual` of CLIP's names, to be traced as OpenAI's files are."""

    def __init__(self, visual):
        super().__init__()
        self.visual = visual
        self.logit_scale = torch.nn.Parameter(torch.ones([]))

    def forward(self, x):
        return self.visual(x) * self.logit_scale


@pytest.mark.parametrize("form", ["torchscript", "open_clip", "state_dict"])
def test_clip_comes_in_from_each_of_its_forms(tmp_path, model, truth, form):
    model.image_encoder.clip.load_state_dict(truth["clip"])
    whole = Tower(model.image_encoder.clip).eval()
    source, out = tmp_path / "clip.pt", tmp_path / "clip.safetensors"
    if form == "torchscript":
        with torch.no_grad():
            traced = torch.jit.trace(whole, torch.zeros(1, 3, 32, 32), check_trace=False)
        torch.jit.save(traced, source)
    elif form == "open_clip":
        source = tmp_path / "open_clip.safetensors"
        save_file(dict(whole.state_dict()), source)
    else:
        torch.save(collections.OrderedDict(whole.state_dict()), source)
    other = tiny(7, paper_like=True, width=WIDTH)
    report = import_weights("clip", source, out, other)
    assert report.ignored == {"logit_scale": 1}
    assert load_parts(other, out) == ["image_encoder.clip"]
    assert same(other.image_encoder.clip.state_dict(), truth["clip"])


def test_a_second_import_adds_to_the_first(tmp_path, model, truth, zero123):
    inside = {n: v for n, v in zero123.items() if not n.startswith("cond_stage_model")}
    save_file(inside, tmp_path / "zero123.safetensors")
    save_file({f"visual.{n}": v for n, v in truth["clip"].items()}, tmp_path / "c.safetensors")
    out = tmp_path / "parts.safetensors"
    report = import_weights("zero123", tmp_path / "zero123.safetensors", out, model)
    assert any("CLIP is not inside" in note for note in report.notes)
    import_weights("clip", tmp_path / "c.safetensors", out, model)
    assert {"unet", "autoencoder", "image_encoder.clip"} <= set(load_parts(model, out))
    assert any(name.startswith("unet.") for name in load_file(out))


def test_wrong_files_are_told_apart(tmp_path, model, zero123):
    out = tmp_path / "out.safetensors"

    def refused(state, message, kind="zero123"):
        save_file(state, tmp_path / "wrong.safetensors")
        with pytest.raises(WeightsError, match=message):
            import_weights(kind, tmp_path / "wrong.safetensors", out, model)
        assert not out.exists()

    def without(prefix):
        return {n: v for n, v in zero123.items() if not n.startswith(prefix)}

    refused({"x.y": torch.zeros(1)}, "no U-Net in ldm format")
    refused(without("first_stage_model"), "no autoencoder")
    refused(without("cc_projection"), "another latent diffusion model")
    refused(without("model.diffusion_model.input_blocks.1.0.in_layers.0"), "tensors missing")
    narrow = {**zero123, "cc_projection.weight": torch.zeros(WIDTH, WIDTH)}
    refused(narrow, "cc_projection.weight of shape")
    four = {**zero123, "model.diffusion_model.input_blocks.0.0.weight": torch.zeros(8, 4, 3, 3)}
    refused(four, "of another shape")
    refused({"vision_model.a": torch.zeros(1)}, "open_clip_model.safetensors", "clip")
    with pytest.raises(WeightsError, match="zero123, clip"):
        import_weights("dino", tmp_path / "wrong.safetensors", out, model)
    with pytest.raises(WeightsError, match="no such weights file"):
        import_weights("clip", tmp_path / "none.pt", out, model)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04broken", b"\x80\x04."])
def test_files_that_are_no_checkpoints(tmp_path, content):
    (tmp_path / "file.ckpt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"file\.ckpt"):
        read_checkpoint(tmp_path / "file.ckpt")


def test_truncated_checkpoints(tmp_path):
    torch.save({"state_dict": {"a": torch.zeros(1000)}}, tmp_path / "whole.ckpt")
    whole = (tmp_path / "whole.ckpt").read_bytes()
    for size in (10, 100, len(whole) // 2, len(whole) - 10):
        (tmp_path / "cut.ckpt").write_bytes(whole[:size])
        with pytest.raises(WeightsError, match=r"cut\.ckpt"):
            read_checkpoint(tmp_path / "cut.ckpt")


def test_parts_are_checked_when_loaded(tmp_path, model, zero123):
    save_file(zero123, tmp_path / "zero123.safetensors")
    out = tmp_path / "parts.safetensors"
    import_weights("zero123", tmp_path / "zero123.safetensors", out, model)
    with pytest.raises(WeightsError, match="another model"):
        load_parts(tiny(), out)
    save_file({"a.b": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError, match="neither imported parts"):
        load_parts(model, tmp_path / "foreign.safetensors")
    with pytest.raises(OutputError, match="give another name"):
        import_weights(
            "zero123", tmp_path / "zero123.safetensors", tmp_path / "foreign.safetensors", model
        )
    model.save_weights(tmp_path / "whole.safetensors")
    assert "unet" in load_parts(
        tiny(3, paper_like=True, width=WIDTH), tmp_path / "whole.safetensors"
    )
