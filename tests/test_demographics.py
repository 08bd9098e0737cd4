"""Age, sex and BMI: read, encoded, and guiding a model that was trained with them, and no other."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.bundle import run
from samples import make_tiny_bundle

from xr2mri_core.bundle import describe_bundle, load_bundle
from xr2mri_core.condition import Condition
from xr2mri_core.datalist import load_datalist
from xr2mri_core.demographics import (
    demographics_of,
    demographics_schema,
    encode_demographics,
    parse_demographics,
)
from xr2mri_core.errors import InputError
from xr2mri_core.evaluation.evaluate import evaluate
from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.networks import Guidance
from xr2mri_core.networks.model import read_safetensors
from xr2mri_core.networks.pretrained import load_parts
from xr2mri_core.training.cache import SliceCache

BUNDLE = Path(__file__).resolve().parents[1] / "monai_app" / "model" / "knee_xr2mri"
PERSON = {"age": 72.0, "sex": "F", "bmi": 33.5}


# --- the values ---------------------------------------------------------------------------------


def test_all_spellings_of_a_person_are_the_same():
    assert parse_demographics({"bmi": "33.5", "sex": " female", "age": 72}) == PERSON
    assert list(parse_demographics({"bmi": 30, "age": 60})) == ["age", "bmi"]


@pytest.mark.parametrize(
    "nothing",
    [
        None,
        {},
        {"age": None, "sex": "", "bmi": math.nan},
        {"age": "NA", "sex": "n/a", "bmi": "null"},
        {"age": ".", "sex": ".A", "bmi": ".: Missing Form/Incomplete Workbook"},
        {"age": math.nan, "sex": math.nan, "bmi": " None "},
    ],
)
def test_what_is_not_given_is_left_out_and_encodes_as_zeros(nothing):
    assert parse_demographics(nothing) == {}
    assert not encode_demographics(nothing).any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"age": 12}, "age 12: accepted is a number of years from 18 to 110"),
        ({"age": True}, "age True"),
        ({"bmi": "obese"}, "bmi 'obese': accepted is a number of kg/m2 from 10 to 80"),
        ({"bmi": math.inf}, "bmi inf"),
        ({"age": 10**400}, "age 1000"),
        ({"bmi": "1,234,5"}, "bmi '1,234,5'"),
        ({"sex": "x"}, "sex 'x': accepted are F \\(female\\) and M \\(male\\)"),
        ({"sex": 1}, "sex 1"),
        ({"height": 180}, "unknown 'height'; accepted are age, sex, bmi"),
    ],
)
def test_what_cannot_be_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        parse_demographics(wrong)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "age": st.floats(18, 110),
            "sex": st.sampled_from(["F", "M"]),
            "bmi": st.floats(10, 80),
        },
    )
)
def test_encoding_tells_people_apart_and_missing_from_average(person):
    vector = encode_demographics(person)
    assert vector[0] == ("age" in person) and vector[4] == ("bmi" in person)
    assert vector[2:4].sum() == ("sex" in person)
    assert np.abs(vector).max() < 12
    if "age" in person:
        assert vector[1] * 9 + 61 == pytest.approx(person["age"], abs=1e-3)


def test_the_schema_accepts_what_is_parsed():
    from jsonschema import ValidationError, validate

    validate(PERSON, demographics_schema())
    validate({"age": None, "sex": None}, demographics_schema())
    with pytest.raises(ValidationError):
        validate({"age": 12}, demographics_schema())


def test_a_datalist_leaves_an_impossible_age_out_and_says_so(small_datalist, caplog):
    """A list of many knees is not refused for it: most models do not use demographics."""
    content = json.loads(small_datalist.read_text())
    content["training"][0] |= {"age": 7, "bmi": "NA", "sex": "F"}
    path = small_datalist.with_name("impossible_age.json")  # beside its pictures
    path.write_text(json.dumps(content))
    item = load_datalist(path)[0]
    path.unlink()
    assert "age" not in item and demographics_of(item) == {"sex": "F"}
    assert "training[0]: age 7: accepted" in caplog.text and "bmi" not in caplog.text


# --- the guidance -------------------------------------------------------------------------------


def signals(guidance: Guidance, person: dict | None, features: dict | None = None):
    r = torch.from_numpy(guidance.encode(features or {"V00XRKL": 2}, person))[None]
    torch.manual_seed(1)
    return guidance(torch.randn(1, 8), torch.tensor([0.3]), r)


def test_a_model_that_learns_demographics_starts_as_it_was():
    torch.manual_seed(0)
    plain = Guidance(8, 16, tokens="per_variable", embedding_std=1.0)
    guided = Guidance(8, 16, tokens="per_variable", embedding_std=1.0)
    guided.load_state_dict(plain.state_dict())
    guided.add_demographics()
    for before, after in zip(signals(plain, None), signals(guided, PERSON), strict=True):
        assert torch.equal(before, after)


def test_demographics_change_the_up_path_alone():
    guidance = Guidance(8, 16, demographics=True)
    for parameter in guidance.demographics.parameters():
        torch.nn.init.normal_(parameter)
    one, other = signals(guidance, PERSON), signals(guidance, {**PERSON, "bmi": 21})
    assert torch.equal(one.down_context, other.down_context)
    assert torch.equal(one.down_time, other.down_time)
    assert not torch.equal(one.up_context, other.up_context)
    assert not torch.equal(one.up_time, other.up_time)


def test_the_condition_is_as_long_as_its_variables():
    for demographics in (False, True):
        guidance = Guidance(8, 16, demographics=demographics)
        assert sum(guidance.widths) == guidance.num_positions == len(guidance.encode({}, PERSON))
    assert guidance.widths[-3:] == [2, 2, 2]


# --- the whole way ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def people(small_datalist) -> Path:
    """The small datalist with age, sex and BMI, as `oai index` and `phantom` write them."""
    content = json.loads(small_datalist.read_text())
    for split in ("training", "validation", "test"):
        for index, item in enumerate(content[split]):
            item |= {"age": 50 + 9 * index, "sex": "MF"[index % 2], "bmi": 22.5 + 8 * index}
            item["window"] = [30, 39]  # few slices: what is measured on each takes its time
    path = small_datalist.with_name("people.json")
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(scope="module")
def tuned(people, tiny_bundle, tmp_path_factory) -> Path:
    """The tiny bundle, its weights trained on with demographics by the bundle's own command."""
    import shutil

    folder = tmp_path_factory.mktemp("demographics")
    bundle = Path(shutil.copytree(tiny_bundle, folder / "knee_xr2mri"))
    run(
        config_file=[
            str(BUNDLE / "configs" / "training.yaml"),
            str(BUNDLE / "configs" / "train_diffusion.yaml"),
            str(bundle / "configs" / "inference.yaml"),
            str(bundle / "configs" / "compact.yaml"),
        ],
        bundle_root=str(bundle),
        datalist=str(people),
        cache_dir=str(folder / "cache"),
        initial_weights=str(tiny_bundle / "models" / "knee_xr2mri.safetensors"),
        autoencoder_dir="$None",
        output_dir=str(folder / "run"),
        steps=8,
        epoch_length=8,
        cached_slices=4,
        cache_processes=1,
        validation_steps=1,
        cases_per_batch=2,
        slices_per_case=2,
        picture_steps=2,
        learning_rate=0.02,
        warmup=1,
        drop_features=0.0,
        ema_momentum=0.5,
        **{"guidance#demographics": True},
    )
    shutil.copy(folder / "run" / "knee_xr2mri.safetensors", bundle / "models")
    return bundle


@pytest.fixture(scope="module")
def guided(tuned):
    return KneeMRIGenerator.from_bundle(tuned, "cpu")


def test_weights_that_were_trained_with_demographics_use_them(guided, tuned, radiograph):
    assert guided.uses_demographics
    assert describe_bundle(tuned)["demographics"]["properties"].keys() == PERSON.keys()
    state, _ = read_safetensors(tuned / "models" / "knee_xr2mri.safetensors")
    assert state["guidance.demographics.token.weight"].abs().max() > 0

    def volume(person):
        return guided.generate(radiograph, Condition.parse({}, person), num_slices=2)

    heavy, slim = volume(PERSON), volume({**PERSON, "bmi": 20})
    assert heavy.record["demographics"] == PERSON
    assert not np.array_equal(heavy.volume, slim.volume)
    assert np.array_equal(volume(None).volume, volume({"sex": ""}).volume)


def test_a_volume_s_weights_know_that_they_use_them(tmp_path, radiograph):
    """Mean and draw alike: the regression has a guidance of its own."""
    bundle = make_tiny_bundle(tmp_path / "knee_xr2mri", demographics=True, volume=True)
    model = KneeMRIGenerator.from_bundle(bundle, "cpu")
    for kind in ("mean", "sample"):
        one, other = (
            model.generate(
                radiograph, Condition.parse({}, {**PERSON, "bmi": bmi}), num_slices=2, kind=kind
            ).volume
            for bmi in (20, 35)
        )
        assert not np.array_equal(one, other)


def test_a_volume_s_weights_without_are_the_start_of_a_model_with(tmp_path):
    bundle = make_tiny_bundle(tmp_path / "knee_xr2mri", volume=True)
    plain, guided = (load_bundle(bundle).model for _ in range(2))
    guided.add_demographics()
    load_parts(guided, bundle / "models" / "knee_xr2mri.safetensors")
    code, depth = plain.encode_radiograph(torch.zeros(1, 1, 64, 64)), torch.tensor([0.3])
    before, after = (
        m.regression(code, depth, torch.from_numpy(m.guidance.encode({"V00XRKL": 3}, PERSON))[None])
        for m in (plain, guided)
    )
    assert torch.equal(before, after)


def test_other_weights_refuse_them(generator, tiny_bundle, radiograph):
    assert not generator.uses_demographics
    assert describe_bundle(tiny_bundle)["demographics"] is None
    assert generator.generate(radiograph, num_slices=1).record["demographics"] is None
    with pytest.raises(InputError, match="age, sex, bmi: this model was trained without"):
        generator.generate(radiograph, Condition(demographics=PERSON), num_slices=1)


def test_the_cache_keeps_who_it_is(people, small_datalist, tmp_path):
    def cached(datalist):
        return SliceCache.build(load_datalist(datalist, "training"), tmp_path, 2, 64, processes=1)

    known, unknown = cached(people), cached(small_datalist)
    assert known.fingerprint != unknown.fingerprint
    assert [item["demographics"]["age"] for item in known.items] == [50, 59]
    encode = Guidance(8, 16, demographics=True).encode
    assert known.features(encode)[:, -6].all() and not unknown.features(encode)[:, -6].any()


def test_evaluation_tells_the_model_who_it_is(guided, people, tmp_path, monkeypatch):
    asked = []
    generate = guided.generate
    monkeypatch.setattr(
        guided, "generate", lambda *a, **k: asked.append(a[1].demographics) or generate(*a, **k)
    )
    evaluate(
        people, guided, tmp_path, cases=2, response_cases=0, spacing_cases=0, mean_cases=2, steps=1
    )
    expected = [demographics_of(item) for item in load_datalist(people, "test")]
    assert [person for person in expected for _ in range(4)] == asked
