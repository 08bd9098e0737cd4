"""The cohort: grades that belong together, at the prevalences that its docstring states."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xr2mri_core.features import VARIABLES, parse_features
from xr2mri_core.phantom import cohort
from xr2mri_core.phantom.cohort import (
    DEFAULT_ENRICHMENT,
    KL_PREVALENCE,
    consistent_kl,
    sample_demographics,
    sample_features,
)


def _draw(enrichment, count=2000):
    rng = np.random.default_rng(7)
    drawn = [sample_features(rng, enrichment) for _ in range(count)]
    return {v.name: np.array([features[v.name] for features in drawn]) for v in VARIABLES}


@pytest.fixture(scope="module")
def oai():
    return _draw(0.0)


@pytest.fixture(scope="module")
def enriched():
    return _draw(DEFAULT_ENRICHMENT)


def _any(cohort, *codes):
    return np.any([grades > 0 for name, grades in cohort.items() if name[5:7] in codes], axis=0)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_every_draw_is_a_full_form_whose_kl_grade_fits_the_rest(seed, enrichment):
    features = sample_features(np.random.default_rng(seed), enrichment)
    assert list(features) == [variable.name for variable in VARIABLES]
    assert parse_features(features) == features
    assert consistent_kl(features) == features["V00XRKL"]
    assert features == sample_features(np.random.default_rng(seed), enrichment)


def test_prevalences_are_the_stated_ones():
    oai = _draw(0.0, 10_000)
    kl = np.bincount(oai["V00XRKL"], minlength=5) / len(oai["V00XRKL"])
    np.testing.assert_allclose(kl, KL_PREVALENCE, atol=0.02)
    definite = np.any([grades > 1 for name, grades in oai.items() if name[5:7] == "OS"], axis=0)
    drawn = {
        "KL 0/1/2/3/4": oai["V00XRKL"], "medial JSN 0/1/2/3": oai["V00XRJSM"],
        "lateral JSN 0/1/2/3": oai["V00XRJSL"], "any osteophyte": _any(oai, "OS"),
        "any of grade >= 2": definite, "any sclerosis": _any(oai, "SC"),
        "any cyst": _any(oai, "CY"), "chondrocalcinosis": _any(oai, "CH"),
        "attrition": _any(oai, "AT"),
    }  # fmt: skip
    for name, values in drawn.items():
        (text,) = re.findall(rf"{re.escape(name)}  +([\d./ ]+) %", cohort.__doc__)
        stated = [float(share) for share in text.split("/")]
        shares = 100 * np.bincount(values.astype(int)) / len(values)
        found = shares if len(stated) > 1 else shares[1:]
        np.testing.assert_allclose(found, stated, rtol=0.15, err_msg=name)


def test_enrichment_makes_every_grade_common_enough_to_learn(oai, enriched):
    for variable in VARIABLES:
        share = np.bincount(enriched[variable.name], minlength=len(variable.grades)) / 2000
        assert share.min() > 0.002, variable.name
    for code in ("CY", "CH", "AT"):
        assert _any(enriched, code).mean() > 2.5 * _any(oai, code).mean()
    with pytest.raises(ValueError, match=r"1\.5"):
        sample_features(np.random.default_rng(0), 1.5)


def test_findings_of_a_compartment_go_together_and_with_kl(oai):
    same = np.corrcoef(oai["V00XRJSM"], oai["V00XRSCTM"])[0, 1]
    other = np.corrcoef(oai["V00XRJSM"], oai["V00XRSCTL"])[0, 1]
    assert same > 0.5 and same > other + 0.2
    assert np.corrcoef(oai["V00XRKL"], oai["V00XROSFM"])[0, 1] > 0.6
    assert not _any({k: v[oai["V00XRKL"] == 0] for k, v in oai.items()}, "OS", "JS", "SC").any()
    worst = np.maximum(oai["V00XRJSM"], oai["V00XRJSL"])
    assert (worst[oai["V00XRKL"] == 4] == 3).all()
    assert (oai["V00XRKL"][_any(oai, "AT")] >= 3).all()


@pytest.mark.parametrize(
    ("features", "kl"),
    [
        ({}, 0),
        ({"V00XROSFM": 1}, 1),
        ({"V00XRJSM": 1}, 1),
        ({"V00XROSFM": 1, "V00XROSTM": 1}, 2),
        ({"V00XROSTL": 2}, 2),
        ({"V00XROSTL": 1, "V00XRJSL": 1}, 2),
        ({"V00XROSTL": 2, "V00XRJSL": 1}, 3),
        ({"V00XRJSM": 2}, 3),
        ({"V00XRJSM": 3, "V00XRSCTM": 1}, 3),
        ({"V00XRJSM": 3, "V00XRSCTM": 2}, 4),
        ({"V00XRJSM": 3, "V00XRATTM": 1}, 4),
        ({"V00XRCHM": 1}, 0),
    ],
)
def test_kl_grade_follows_from_the_other_findings(features, kl):
    assert consistent_kl(features) == kl


def test_participants_are_of_oai_age_and_build():
    rng = np.random.default_rng(0)
    people = [sample_demographics(rng) for _ in range(1500)]
    women = [p for p in people if p.sex == "F"]
    assert len(women) / len(people) == pytest.approx(0.58, abs=0.04)
    assert all(45 <= p.age <= 79 and 17 <= p.bmi <= 48 for p in people)
    assert np.mean([p.bmi for p in people]) == pytest.approx(28.4, abs=0.5)
    assert np.mean([p.height_cm for p in women]) == pytest.approx(162.5, abs=1)
    heavy = [sample_demographics(rng, {"V00XRKL": 4}).bmi for _ in range(500)]
    light = [sample_demographics(rng, {"V00XRKL": 0}).bmi for _ in range(500)]
    assert np.mean(heavy) > np.mean(light) + 2
    assert set(people[0].to_dict()) == {"sex", "age", "bmi", "height_cm"}
