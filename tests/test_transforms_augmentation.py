"""Changes of a radiograph that leave the knee as it is: small, reproducible, in range."""

import pytest
import torch
from samples import draw_knee

from xr2mri_core.transforms.augmentation import (
    CHANGES,
    change,
    radiograph_augmentation,
    renormalized,
)


@pytest.fixture(scope="module")
def picture():
    return renormalized(torch.as_tensor(draw_knee(128)).float()[None])


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_alters_the_picture_but_keeps_the_knee(name, picture):
    alter = change(name, 128)
    alter.set_random_state(seed=3)
    done = alter(picture)
    assert done.shape == picture.shape and done.dtype == torch.float32
    assert done.min() >= -1 and done.max() <= 1 and torch.isfinite(done).all()
    assert not torch.equal(done, picture)
    pair = torch.stack([picture.flatten(), done.flatten()])
    assert torch.corrcoef(pair)[0, 1] > 0.8


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_follows_its_seed_and_spares_its_input(name, picture):
    def drawn(seed):
        alter = change(name, 128)
        alter.set_random_state(seed=seed)
        return alter(picture)

    before = picture.clone()
    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert torch.equal(picture, before)


def test_an_augmentation_leaves_some_pictures_alone_and_changes_others(picture):
    augment = radiograph_augmentation(128, at_most=2)
    augment.set_random_state(seed=0)
    same = [torch.allclose(augment(picture), picture, atol=1e-5) for _ in range(60)]
    assert 5 < sum(same) < 40
    none = radiograph_augmentation(128, at_most=0)
    torch.testing.assert_close(none(picture), picture, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("at_most", "positioning"), [(-1, True), (12, True), (9, False)])
def test_an_impossible_number_of_changes_is_refused(at_most, positioning):
    with pytest.raises(ValueError, match="at_most"):
        radiograph_augmentation(128, at_most=at_most, positioning=positioning)


@pytest.mark.parametrize("positioning", [True, False])
def test_without_positioning_the_knee_stays_in_its_place(positioning):
    square = torch.full((1, 128, 128), -1.0)
    square[:, 44:84, 44:84] = 1.0

    def shift(picture):
        """Pixels between the square and its place, by the peak of their correlation."""
        spectra = torch.fft.fft2(picture[0] - picture.mean()), torch.fft.fft2(square[0])
        peak = int(torch.fft.ifft2(spectra[0] * spectra[1].conj()).real.argmax())
        return max(min(at, 128 - at) for at in divmod(peak, 128))

    augment = radiograph_augmentation(128, at_most=1, positioning=positioning)
    augment.set_random_state(seed=0)
    furthest = max(shift(augment(square)) for _ in range(60))
    assert furthest >= 2 if positioning else furthest == 0
