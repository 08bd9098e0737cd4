"""What a client may ask for, and how what it may not is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_app.lib.parameters import GenerationParameters, parameter_schema
from xr2mri_core.errors import FeatureError, InputError
from xr2mri_core.request import KNOBS, GenerationRequest


def parsed(**given):
    return GenerationParameters.from_json(json.dumps(given))[0]


def test_nothing_given_means_defaults_and_a_drawn_seed():
    first, second = parsed(), parsed()
    assert first.request.count == 50 and first.samples == 1 and first.output_format == "nifti"
    assert first.seed != second.seed and first.seed >= 0


def test_features_are_read_in_any_spelling():
    assert parsed(features={"kl_grade": "2: 2"}).condition.features == {"V00XRKL": 2}


def test_demographics_are_read_and_missing_ones_left_out():
    given = parsed(demographics={"sex": "male", "bmi": 31, "age": None})
    assert given.condition.demographics == {"sex": "M", "bmi": 31.0}
    assert parsed().condition.demographics == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"V00XRKL": 2}, r"unknown parameter 'V00XRKL'; accepted are features"),
        ({"steps": 0}, r"steps 0: .*greater than or equal to 1"),
        ({"steps": "4"}, "steps '4': .*integer"),
        ({"steps": True}, "steps True"),
        ({"laterality": "left"}, "laterality 'left': .*'auto', 'R' or 'L'"),
        ({"box": [1, 2, 3]}, "box"),
        ({"box": [1, 2, 3, "x"]}, r"box\.3 'x'"),
        ({"box": [10**400, 0, 1, 1]}, r"box\.0 .*less than or equal to 100000"),
        ({"box": [0, 0, 1, -(10**4200)]}, r"box\.3 .*greater than or equal to -100000"),
        ({"num_slices": 50, "depths": [0.5]}, "num_slices or depths, not both"),
        ({"num_slices": 10**9}, "num_slices"),
        ({"guidance": 1e9}, "guidance"),
        ({"seed": -1}, "seed"),
        ({"sampler": "euler"}, "sampler"),
        ({"features": []}, "features"),
        ({"demographics": {"age": 7}}, "age 7: accepted is a number of years from 18 to 110"),
        ({"demographics": {"weight": 80}}, "unknown 'weight'; accepted are age, sex, bmi"),
    ],
)
def test_what_is_wrong_is_named_with_its_value(given, message):
    with pytest.raises(InputError, match=message):
        parsed(**given)


def test_a_wrong_grade_is_told_by_its_variable():
    with pytest.raises(FeatureError, match="V00XRKL"):
        parsed(features={"V00XRKL": 9})


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "{", "1", '{"a": NaN', "[" * 100_000])
def test_params_that_are_no_object(text):
    if text == "":
        assert GenerationParameters.from_json(text)[0].request.count == 50
    else:
        with pytest.raises(InputError, match="params"):
            GenerationParameters.from_json(text)


def test_nan_is_no_guidance():
    with pytest.raises(InputError, match="guidance"):
        GenerationParameters.from_json('{"guidance": NaN}')


def test_what_stock_clients_send_along_is_understood():
    parameters, warnings = GenerationParameters.from_json(
        '{"client_id": "u", "result_extension": ".nrrd", "result_dtype": "uint8"}'
    )
    assert parameters.output_format == "nrrd"
    assert len(warnings) == 1 and "float32" in warnings[0]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
names = st.sampled_from([*GenerationParameters.model_fields, "client_id", "x"])


@given(st.dictionaries(names, json_values, max_size=4))
def test_anything_is_parsed_or_refused_in_one_line(given):
    try:
        parameters, _ = GenerationParameters.from_json(json.dumps(given))
    except InputError as error:
        assert str(error) and "\n" not in str(error) and len(str(error)) < 600
    else:
        assert 1 <= parameters.request.count <= 2000


def test_the_schema_has_ranges_and_defaults():
    properties = parameter_schema()["properties"]
    assert properties["num_slices"]["default"] == 50 and properties["num_slices"]["minimum"] == 1
    assert set(properties) == set(GenerationParameters.model_fields)
    assert all("description" in entry for entry in properties.values())


def test_a_client_may_set_every_knob_of_a_generation_but_the_batch():
    properties = parameter_schema()["properties"]
    assert KNOBS.keys() - properties.keys() == {"batch_size"}
    for name in KNOBS.keys() & properties.keys():
        assert KNOBS[name].metadata["help"][1:] in properties[name]["description"]
    assert properties["samples"]["maximum"] == 16  # of a server that others use too
    asked = parsed(depths=[0.1, 0.2], seed=4, laterality="L", box=[1, 2, 3, 4])
    assert asked.request == GenerationRequest(
        depths=[0.1, 0.2], seed=4, laterality="L", box=[1, 2, 3, 4]
    )


def test_depths_that_no_affine_describes_are_refused_before_anything_is_read():
    with pytest.raises(InputError, match="equal spacing"):
        parsed(depths=[0, 0.1, 0.5])
    for nearest in ([0, 1e-300], [0.5, 0.5 + 1e-5]):  # no header can state them
        with pytest.raises(InputError, match=r"apart: accepted is 0\.0001 \(7 micrometres\)"):
            parsed(depths=nearest)
