"""What enters which half of the U-Net, proved on the bits of its blocks."""

import pytest
import torch
from diffusers import UNet2DConditionModel

from xr2mri_core.features import VARIABLES, encode_features, one_hot_slices
from xr2mri_core.networks import Guidance, GuidedUNet, RadiographCode, XR2MRIModel

WIDTH = 16
SIZE = {
    "sample_size": 8,
    "in_channels": 8,
    "out_channels": 4,
    "block_out_channels": (8, 16, 16),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": WIDTH,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
}
BOTH = pytest.mark.parametrize("tokens", ["single", "per_variable"])


def make(tokens="single", trained=True, **settings):
    torch.manual_seed(0)
    guidance = Guidance(WIDTH, 32, tokens=tokens, **settings)
    if trained:
        for parameter in guidance.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    unet = GuidedUNet(**SIZE)
    return XR2MRIModel(torch.nn.Identity(), torch.nn.Identity(), guidance, unet).eval()


def one_hot(**grades):
    return torch.from_numpy(encode_features(grades))[None]


@pytest.fixture
def inputs():
    torch.manual_seed(1)
    code = RadiographCode(torch.randn(1, 4, 8, 8), torch.randn(1, WIDTH))
    return {"z_t": torch.randn(2, 4, 8, 8), "t": torch.tensor([10, 900]), "code": code}


@torch.no_grad()
def traced(model, **arguments):
    """The output of every block by name, and of the whole as "out"."""
    unet, seen, handles = model.unet, {}, []
    blocks = {f"down{i}": b for i, b in enumerate(unet.down_blocks)}
    blocks |= {"mid": unet.mid_block}
    blocks |= {f"up{i}": b for i, b in enumerate(unet.up_blocks)}
    for name, block in blocks.items():

        def keep(module, args, output, name=name):
            seen[name] = output[0] if isinstance(output, tuple) else output

        handles.append(block.register_forward_hook(keep))
    seen["out"] = model.denoise(**arguments)
    for handle in handles:
        handle.remove()
    return seen


@BOTH
def test_features_leave_the_down_path_bit_identical_and_change_the_up_path(tokens, inputs):
    model, depth = make(tokens), torch.tensor([0.2, 0.8])
    without = traced(model, **inputs, depth=depth, features=one_hot().expand(2, -1))
    cyst = one_hot(V00XRCYTL=1).expand(2, -1)
    with_cyst = traced(model, **inputs, depth=depth, features=cyst)
    for name in without:
        same = torch.equal(without[name], with_cyst[name])
        assert same == name.startswith(("down", "mid")), name


@BOTH
def test_depth_changes_every_block_of_the_down_path(tokens, inputs):
    model, features = make(tokens), one_hot(V00XRKL=2).expand(2, -1)
    one = traced(model, **inputs, depth=torch.tensor([0.2, 0.2]), features=features)
    other = traced(model, **inputs, depth=torch.tensor([0.3, 0.3]), features=features)
    for name in one:
        assert not torch.equal(one[name], other[name]), name


@BOTH
def test_at_initialisation_the_output_is_that_of_the_unguided_parent(tokens, inputs):
    model = make(tokens, trained=False)
    parent = UNet2DConditionModel(**SIZE).eval()
    parent.load_state_dict(model.unet.state_dict())
    code, z_t, t = inputs["code"], inputs["z_t"], inputs["t"]
    context = code.embedding.unsqueeze(1).expand(2, 1, -1)
    sample = torch.cat([z_t, code.latent.expand(2, -1, -1, -1)], 1)
    with torch.no_grad():
        expected = parent(sample, t, context).sample
        features = one_hot(V00XRKL=3, V00XRCYTL=1).expand(2, -1)
        guided = model.denoise(z_t, t, code, torch.tensor([0.0, 1.0]), features)
    if tokens == "single":
        assert torch.equal(guided, expected)
    else:  # attention over 20 equal tokens is that over one, up to rounding
        torch.testing.assert_close(guided, expected, atol=1e-5, rtol=1e-5)


def test_the_guided_unet_alone_is_its_parent():
    torch.manual_seed(0)
    unet, parent = GuidedUNet(**SIZE).eval(), UNet2DConditionModel(**SIZE).eval()
    parent.load_state_dict(unet.state_dict())
    sample, context = torch.randn(1, 8, 8, 8), torch.randn(1, 3, WIDTH)
    with torch.no_grad():
        assert torch.equal(unet(sample, 5, context).sample, parent(sample, 5, context).sample)


def test_per_variable_tokens_let_places_differ(inputs):
    """One token acts at every place alike; several act where the queries choose them."""
    context, queries = torch.randn(1, 2, WIDTH), torch.randn(1, 64, 8)
    for tokens, count in (("single", 1), ("per_variable", 20)):
        model = make(tokens)
        signals = model.guidance(inputs["code"].embedding, torch.tensor([0.5]), one_hot(V00XRKL=4))
        context = signals.up_context
        assert context.shape == (1, count, WIDTH)
        attention = model.unet.up_blocks[-1].attentions[0].transformer_blocks[0].attn2
        with torch.no_grad():
            spread = attention(queries, encoder_hidden_states=context).std(1).max()
        assert (spread > 1e-4) == (tokens == "per_variable")


def test_each_variable_has_its_own_token_and_missing_ones_add_nothing():
    guidance = make("per_variable").guidance
    embedding, depth = torch.randn(1, WIDTH), torch.tensor([0.5])
    r = one_hot(V00XRCYTL=1)
    shared, *variables = guidance(embedding, depth, r).up_context[0]
    for variable, token in zip(VARIABLES, variables, strict=True):
        assert torch.equal(token, shared) == (variable.name != "V00XRCYTL")
    position = one_hot_slices()["V00XRCYTL"].start + 1
    index = [v.name for v in VARIABLES].index("V00XRCYTL")
    torch.testing.assert_close(variables[index] - shared, guidance.grade_embeddings[position])


@BOTH
def test_every_parameter_learns(tokens, inputs):
    """The second step reaches what the zeros of the first shield."""
    model = make(tokens, trained=False)
    optimizer = torch.optim.SGD(model.guidance.parameters(), lr=1.0)
    full = {v.name: v.grades[-1] for v in VARIABLES}
    for _ in range(2):
        optimizer.zero_grad()
        features = one_hot(**full).expand(2, -1)
        model.denoise(**inputs, depth=torch.tensor([0.1, 0.9]), features=features).sum().backward()
        optimizer.step()
    for name, parameter in model.guidance.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(("grading", "positions"), [("paper", 61), ("oai", 65)])
def test_gradings(grading, positions):
    guidance = Guidance(8, 16, grading=grading, tokens="per_variable")
    assert guidance(torch.zeros(1, 8), torch.zeros(1), torch.zeros(1, positions)).up_time.any() == 0
    with pytest.raises(ValueError, match=f"has {positions}"):
        guidance(torch.zeros(1, 8), torch.zeros(1), torch.zeros(1, 7))


def test_wrong_tokens_and_wrong_sides_are_refused():
    with pytest.raises(ValueError, match="'single' and 'per_variable'"):
        Guidance(8, 16, tokens="many")
    with pytest.raises(ValueError, match="multiples of 4"):
        GuidedUNet(**SIZE)(torch.zeros(1, 8, 6, 8), 0, torch.zeros(1, 1, WIDTH))


def test_saves_and_loads_like_its_parent(tmp_path):
    unet = GuidedUNet(**SIZE).eval()
    unet.save_pretrained(tmp_path)
    again = GuidedUNet.from_pretrained(tmp_path).eval()
    sample, context = torch.randn(1, 8, 8, 8), torch.randn(1, 1, WIDTH)
    with torch.no_grad():
        assert torch.equal(unet(sample, 5, context).sample, again(sample, 5, context).sample)


def test_gradient_checkpointing_gives_the_same_gradients(inputs):
    model = make().train()
    arguments = {**inputs, "depth": torch.tensor([0.2, 0.8]), "features": one_hot().expand(2, -1)}
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            model.unet.enable_gradient_checkpointing()
        model.zero_grad()
        model.denoise(**arguments).square().sum().backward()
        gradients.append(model.unet.conv_in.weight.grad.clone())
    torch.testing.assert_close(*gradients)
