"""Several knees in the denoiser's passes: none of them notices the others."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from samples import draw_knee

from xr2mri_core import generation
from xr2mri_core.cli import main
from xr2mri_core.errors import InputError
from xr2mri_core.together import Together

FORMS = [{}, {"V00XRKL": 4}, {"V00XRKL": 1, "V00XRJSM": 2}, {"V00XRKL": 3}]


@pytest.fixture(params=["generator", "volume_generator"], ids=["slices", "volume"])
def model(request):
    """Without and with depth mixing, regression and windows."""
    return request.getfixturevalue(request.param)


def knees(model, which, **options):
    """A work for each knee: another radiograph, form and seed."""

    def one(index: int) -> np.ndarray:
        picture = model.read(draw_knee(seed=index), "R", (0, 0, 96, 96))
        return model.generate(
            picture, FORMS[index], seed=index, num_slices=20, steps=2, **options
        ).volume

    return [partial(one, index) for index in which]


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_volume_does_not_depend_on_which_others_share_its_passes(model, guidance, one_thread):
    options = {"guidance": guidance, "batch_size": 12}
    first = model.side_by_side(knees(model, [0, 1, 2], **options), 3)
    among_others = model.side_by_side(knees(model, [3, 0], **options), 3)
    alone = model.side_by_side(knees(model, [0], **options), 3)
    assert first[0].tobytes() == among_others[1].tobytes() == alone[0].tobytes()
    assert not np.array_equal(first[0], first[1])
    (usual,) = (work() for work in knees(model, [0], **options))
    np.testing.assert_allclose(first[0], usual, atol=1e-4)  # another batch: rounding


def test_passes_are_shared(model, monkeypatch):
    made = []

    class Counted(Together):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(generation, "Together", Counted)
    model.side_by_side(knees(model, [0, 1, 2], batch_size=40), 3)
    assert made[0].passes == 2  # of two steps, one each
    assert model.algorithm.denoiser == model.model.denoise


def test_a_knee_that_fails_leaves_the_others_theirs(model):
    def fails():
        raise InputError("no knee")

    works = knees(model, [0, 1])

    def caught():
        try:
            fails()
        except InputError as error:
            return str(error)

    results = model.side_by_side([works[0], caught, works[1]], 3)
    assert results[1] == "no knee"
    again = model.side_by_side(works, 3)
    assert np.array_equal(results[0], again[0]) and np.array_equal(results[2], again[1])
    with pytest.raises(InputError, match="no knee"):
        model.side_by_side([works[0], fails], 3)


def test_an_error_of_the_shared_pass_is_each_knee_s(model, monkeypatch):
    """Out of memory: each takes smaller passes, and they go on together."""
    usual, most = model.algorithm.denoiser, []

    def small(z_t, *more):
        most.append(len(z_t))
        if len(z_t) > 24:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return usual(z_t, *more)

    monkeypatch.setattr(model.algorithm, "denoiser", small)
    results = model.side_by_side(knees(model, [0, 1], batch_size=20), 2)
    assert max(most) == 40 and min(most) <= 24
    assert all(np.isfinite(volume).all() for volume in results)


def test_the_command_generates_the_same_in_groups_of_any_company(tiny_bundle, tmp_path, capsys):
    folder = tmp_path / "knees"
    folder.mkdir()
    for index in range(3):
        Image.fromarray(draw_knee(seed=index)).save(folder / f"{index}.png")

    def run(out, *more):
        words = ["generate", "--folder", folder, "--bundle", tiny_bundle, "--device", "cpu"]
        words += ["--slices", 2, "--jobs", 1, "--out", tmp_path / out, *more]
        status = main([str(word) for word in words])
        files = sorted((tmp_path / out).rglob("*.nii.gz"))
        return status, {path.parent.name: path.read_bytes() for path in files}

    status, three = run("a", "--knees-at-once", 2)
    assert status == 0 and len(three) == 3
    (folder / "0.png").write_bytes(b"broken")
    status, two = run("b", "--knees-at-once", 2)
    assert status == 1 and two == {name: three[name] for name in ("1", "2")}
    assert run("b", "--knees-at-once", 2)[0] == 1
    assert "0 generated, 2 kept, 1 failed" in capsys.readouterr().out
    single = ["generate", "--radiograph", folder / "1.png", "--out", tmp_path / "c"]
    assert main([str(word) for word in (*single, "--knees-at-once", 2)]) == 2
    assert "--knees-at-once is for --datalist and --folder" in capsys.readouterr().err
