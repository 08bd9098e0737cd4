"""Noise along depth: N(0, I) per slice, reproducible per depth, correlated as asked."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from xr2mri_core.diffusion import DepthNoise

SHAPE = (4, 32, 32)


def correlation(a, b):
    return float((a * b).mean() / (a.square().mean() * b.square().mean()).sqrt())


@pytest.mark.parametrize("length", [0.0, 0.3, 1.2, 5.0, float("inf")])
def test_every_slice_is_standard_normal(length):
    noise = DepthNoise((16, 32, 32), length, seed=1)([0.0, 0.123, 0.5, 1.0])
    assert noise.dtype == torch.float32
    for part in noise:
        assert abs(float(part.mean())) < 0.03
        assert float(part.std()) == pytest.approx(1, abs=0.02)
        assert float((part**4).mean()) == pytest.approx(3, abs=0.25)


@pytest.mark.parametrize("length", [0.2, 1.2, 30.0])
def test_weights_have_unit_squares_at_any_depth(length):
    noise = DepthNoise(SHAPE, length)
    for depth in np.linspace(0, 1, 97):
        _, weights = noise.weights(float(depth))
        assert np.square(weights).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("length", [0.0, 1.2, float("inf")])
def test_a_depth_has_its_noise_whatever_else_is_asked_for(length):
    depths = np.linspace(0, 1, 50)
    whole = DepthNoise(SHAPE, length, seed=3)(depths)
    chunks = DepthNoise(SHAPE, length, seed=3)
    assert torch.equal(torch.cat([chunks(depths[i : i + 7]) for i in range(0, 50, 7)]), whole)
    assert torch.equal(DepthNoise(SHAPE, length, seed=3)(depths[::-1].copy()), whole.flip(0))
    assert torch.equal(DepthNoise(SHAPE, length, seed=3).at(float(depths[31])), whole[31])
    assert not torch.equal(DepthNoise(SHAPE, length, seed=4)(depths), whole)


@pytest.mark.parametrize("length", [0.8, 1.2, 2.0, 6.0])
@pytest.mark.parametrize("distance", [0.1, 0.5, 1.0, 2.0])
def test_correlation_is_that_of_the_kernel(length, distance):
    noise = DepthNoise((16, 64, 64), length, seed=5)
    one, other = noise([0.3, 0.3 + distance / 49])
    expected = np.exp(-(distance**2) / (2 * length**2))
    assert correlation(one, other) == pytest.approx(expected, abs=0.02)


def test_length_zero_is_independent_and_infinity_shared():
    independent = DepthNoise((16, 64, 64), 0.0)([0.5, 0.5 + 1 / 49, 0.50001])
    assert abs(correlation(independent[0], independent[1])) < 0.02
    assert abs(correlation(independent[0], independent[2])) < 0.02
    shared = DepthNoise(SHAPE, float("inf"))([0.0, 1.0])
    assert torch.equal(shared[0], shared[1])


def test_finer_volumes_are_not_less_coherent():
    noise = DepthNoise((16, 32, 32), 1.2, seed=2)
    means = []
    for count in (50, 100, 200):
        made = noise(np.linspace(0, 1, count))
        means.append(np.mean([correlation(a, b) for a, b in pairwise(made)]))
    assert means[0] < means[1] < means[2]


def test_float32_and_float64_depths_are_the_same_depth_when_independent():
    depths = np.linspace(0, 1, 11)
    noise = DepthNoise(SHAPE, 0.0)
    assert torch.equal(noise(depths), noise(torch.tensor(depths, dtype=torch.float32)))


def test_edges_and_bad_arguments():
    assert DepthNoise(SHAPE)([]).shape == (0, *SHAPE)
    for bad in ({"length": -1}, {"length": float("nan")}, {"seed": -1}, {"slices": 1}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            DepthNoise(SHAPE, **bad)
    shortest = DepthNoise(SHAPE, 1e-20)([0.0, 0.5, 1.0])
    assert torch.equal(shortest, DepthNoise(SHAPE, 0)([0.0, 0.5, 1.0]))
    assert DepthNoise(SHAPE, 2e-6)([0.0, 0.5, 1.0]).isfinite().all()
    with pytest.raises(ValueError, match="finite"):
        DepthNoise(SHAPE)([0.1, float("nan")])


def test_global_random_state_is_untouched():
    before = torch.get_rng_state()
    DepthNoise(SHAPE)([0.1])
    assert torch.equal(torch.get_rng_state(), before)
