"""Which reading of a knee counts, what a gap in it means, and who the participant is."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xr2mri_core.errors import DatalistError, FeatureError, ReleaseError
from xr2mri_core.features import VARIABLES
from xr2mri_core.geometry import Laterality
from xr2mri_core.oai.people import read_people
from xr2mri_core.oai.readings import Reading, choose_reading, read_readings
from xr2mri_core.oai.splits import split_by_kl, split_by_site
from xr2mri_core.oai.values import read_cell

R, L = Laterality.RIGHT, Laterality.LEFT
EVERYBODY = ("XRKL", "XRJSM", "XRJSL")
DETAILS = [item.name for item in VARIABLES if item.name[3:] not in EVERYBODY]


def table(folder, name, rows, delimiter="|"):
    """Write rows (dictionaries) as a table; a column that a row lacks is empty."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    lines = [names, *([row.get(key, "") for key in names] for row in rows)]
    (folder / name).write_text("\n".join(delimiter.join(map(str, line)) for line in lines) + "\n")


def reading(project="15", **cells) -> Reading:
    given = {f"V00{name}": read_cell(value) for name, value in cells.items()}
    return Reading(given, project)


def test_project_15_goes_before_37_before_others_whatever_the_order():
    rows = [reading(p, XRKL=kl) for p, kl in (("15", "2"), ("37", "3"), ("65", "1"))]
    for order in itertools.permutations(rows):
        assert choose_reading(order).kl == 2
    assert choose_reading(rows[1:]).kl == 3


def test_a_reading_without_a_grade_does_not_hide_one_that_has_it():
    rows = [reading("15", XRKL=".", XRJSM="1"), reading("37", XRKL="3")]
    assert choose_reading(rows).kl == choose_reading(rows[::-1]).kl == 3


def test_of_one_project_the_fuller_row_counts_and_equal_ones_are_one():
    poor, rich = reading(XRKL="2"), reading(XRKL="2", XRJSM="1")
    assert choose_reading([poor, rich, rich]).graded == 2
    assert choose_reading([rich, poor]).problem == ""


def test_two_readings_of_one_project_that_contradict_each_other_are_no_reading():
    rows = [reading("37", XRKL="2"), reading("37", XRKL="3")]
    assert "project 37 contradict" in choose_reading(rows).problem
    assert choose_reading(rows) == choose_reading(rows[::-1])


@given(
    st.lists(
        st.tuples(st.sampled_from(["15", "37", "9", ""]), st.sampled_from([".", "1", "2", "3"])),
        min_size=1,
        max_size=5,
    ),
    st.randoms(use_true_random=False),
)
def test_the_choice_never_depends_on_the_order(rows, shuffler: random.Random):
    readings = [reading(project, XRKL=kl) for project, kl in rows]
    chosen = choose_reading(readings)
    shuffler.shuffle(readings)
    assert choose_reading(readings) == chosen


def test_project_42_is_37(tmp_path):
    rows = [
        {"ID": 9000099, "SIDE": 1, "READPRJ": 42, "V00XRKL": 3},
        {"ID": 9000099, "SIDE": 1, "READPRJ": 65, "V00XRKL": 1},
    ]
    table(tmp_path, "kxr_sq_bu00.txt", rows)
    found = read_readings([tmp_path], ["V00"])["9000099", "V00", R]
    assert (found.project, found.kl) == ("37", 3)


def test_sides_come_as_codes_and_as_labels(tmp_path):
    rows = [
        {"ID": "1", "SIDE": "1: Right", "V00XRKL": "2: 2"},
        {"ID": "1", "SIDE": "2", "V00XRKL": "4"},
        {"ID": "2", "SIDE": ".", "V00XRKL": "4"},
    ]
    table(tmp_path, "KXR_SQ_BU00.txt", rows)
    found = read_readings([tmp_path], ["V00"])
    assert {knee: item.kl for knee, item in found.items()} == {
        ("1", "V00", R): 2,
        ("1", "V00", L): 4,
    }


def test_readings_of_other_visits_are_left_alone(tmp_path):
    for visit, kl in (("00", 1), ("03", 2)):
        row = {"ID": 1, "SIDE": 1, f"V{visit}XRKL": kl, f"v{visit}BARCDBU": "16600000001"}
        table(tmp_path, f"kxr_sq_bu{visit}.txt", [row])
    found = read_readings([tmp_path], ["V03"])
    assert {knee[1]: item.kl for knee, item in found.items()} == {"V03": 2}
    assert found["1", "V03", R].barcode == "016600000001"
    with pytest.raises(ReleaseError, match="no readings of V10"):
        read_readings([tmp_path], ["V10"])


def test_readings_lie_in_several_folders(tmp_path):
    for name, rows in (
        ("one", [{"ID": 1, "SIDE": 1, "READPRJ": 15, "V00XRKL": 2}]),
        ("other", [{"ID": 2, "SIDE": 1, "READPRJ": 15, "V00XRKL": 3}]),
        ("older", [{"ID": 2, "SIDE": 1, "READPRJ": 15, "V00XRKL": 4}]),
    ):
        (tmp_path / name).mkdir()
        table(tmp_path / name, "kxr_sq_bu00.txt", rows)
    found = read_readings([tmp_path / "one", tmp_path / "other"], ["V00"])
    assert {knee[0]: item.kl for knee, item in found.items()} == {"1": 2, "2": 3}
    found = read_readings([tmp_path], ["V00"])
    assert found["1", "V00", R].problem == "" and "contradict" in found["2", "V00", R].problem


def test_the_same_readings_without_labels_and_codes_contradict_nothing():
    text = reading(
        XRKL="2: Minimal", XRJSM="0: Normal", XRCHM=".: Missing Form/Incomplete Workbook"
    )
    sas = reading(XRKL="2", XRJSM="0", XRCHM=".")
    assert choose_reading([text, sas]) == choose_reading([sas, text]) == text
    other = reading(XRKL="2", XRJSM="0", XRCHM=".T")
    assert "contradict" in choose_reading([text, other]).problem


def test_narrowing_may_be_fractional_and_attrition_goes_to_three():
    found = reading(XRKL="3", XRJSM="1.4", XRATTM="3").features()
    assert (found["V00XRJSM"], found["V00XRATTM"]) == (1, 3)
    with pytest.raises(FeatureError, match="V00XRATTM"):
        reading(XRKL="3", XRATTM="4").features()
    with pytest.raises(FeatureError, match="V00XRKL"):
        reading(XRKL="2.5").features()


# --- gaps -----------------------------------------------------------------------------------------


def gaps(code: str, kl: str, **more) -> Reading:
    cells = {name[3:]: code for name in DETAILS} | {"XRKL": kl, "XRJSM": "0", "XRJSL": "0"} | more
    return reading(**cells)


@pytest.mark.parametrize("code", ["", ".", ".A", ".A: Not Expected"])
def test_what_was_not_expected_is_missing_in_the_paper_and_zero_by_choice(code):
    assert set(gaps(code, "1").features()) == {f"V00{name}" for name in EVERYBODY}
    filled = gaps(code, "1").features("not-expected-zero")
    assert len(filled) == 19 and all(filled[name] == 0 for name in DETAILS)
    assert filled["V00XRKL"] == 1


@pytest.mark.parametrize(
    "found",
    [
        gaps("", "2"),  # definite osteoarthritis: they should have been read
        gaps(".", "."),
        gaps(".T", "1"),
        gaps(".M", "0"),
        gaps(".: Missing Form/Incomplete Workbook", "0"),
        gaps("", "1", XRCHM="1"),  # somebody did read this group
    ],
)
def test_other_gaps_are_never_filled(found):
    assert found.features("not-expected-zero") == found.features()


def test_a_coded_gap_is_filled_even_beside_read_features():
    found = gaps(".A", "2", XROSFM="2", XRSCTM=".T").features("not-expected-zero")
    assert found["V00XROSFM"] == 2 and found["V00XRCHM"] == 0 and "V00XRSCTM" not in found


def test_an_unknown_way_with_gaps_is_refused():
    with pytest.raises(ReleaseError, match="not-expected-zero"):
        reading(XRKL="1").features("zero")


def test_a_prosthesis_is_seen():
    assert gaps(".P", ".P").has_prosthesis and not gaps(".A", "1").has_prosthesis


# --- people ---------------------------------------------------------------------------------------


def test_oai_demographics_join_over_tables_and_visits(tmp_path):
    table(tmp_path, "AllClinical00.txt", [{"ID": "1", "V00AGE": "61", "P01BMI": "28.44"}])
    table(tmp_path, "ALLCLINICAL03.txt", [{"ID": "1", "V03BMI": "30.1"}])
    table(tmp_path, "Enrollees.txt", [{"ID": "1", "P02SEX": "2: Female", "V00SITE": "C"}])
    people = read_people([tmp_path])
    assert people.at("1", "V00").to_dict() == {"sex": "F", "age": 61, "bmi": 28.4, "site": "C"}
    assert people.at("1", "V03").to_dict() == {"sex": "F", "age": 63, "bmi": 30.1, "site": "C"}
    assert people.at("1", "V06").bmi == 28.4 and people.at("1", "V06").age == 65
    assert people.at("2", "V00").to_dict() == {}


@pytest.mark.parametrize(
    ("text", "sex"),
    [("1: Male", "M"), ("2: Female", "F"), ("1", "M"), ("2", "F"), ("F", "F"), (".", ""), ("", "")],
)
def test_sex_is_a_code_a_label_or_a_letter(tmp_path, text, sex):
    table(tmp_path, "Enrollees.txt", [{"ID": "1", "P02SEX": text}])
    assert read_people([tmp_path]).at("1", "V00").sex == sex


def test_nda_ages_are_in_months(tmp_path):
    explained = {
        "src_subject_id": "The subject",
        "visit": "Visit",
        "interview_age": "Age in months",
    }
    rows = [
        {**explained, "sex": "Sex", "site": "Site"},
        {"src_subject_id": "1", "visit": "V00", "interview_age": "743", "sex": "M", "site": "B"},
    ]
    table(tmp_path, "oai_enrollee01.txt", rows, "\t")
    assert read_people([tmp_path]).at("1", "V00").age == 61
    assert read_people([tmp_path]).at("1", "V01").age == 62


def test_a_cell_that_makes_no_sense_is_told_of_its_participant(tmp_path):
    rows = [{"ID": "77", "V00AGE": "old", "P01BMI": "28"}, {"ID": "78", "V00AGE": "61"}]
    table(tmp_path, "AllClinical00.txt", rows)
    people = read_people([tmp_path])
    problem = people.at("77", "V00").problem
    assert problem.startswith("AllClinical00.txt: ") and "'old'" in problem
    assert people.at("78", "V00").problem == "" and people.at("78", "V00").age == 61


# --- splits ---------------------------------------------------------------------------------------


def knees(grades: list[int], sites: str = "ABC") -> list[dict]:
    return [
        {
            "case": f"{person}-{side}",
            "participant": f"p{person:03d}",
            "features": {"V00XRKL": grade},
            "site": sites[person % len(sites)],
        }
        for person, grade in enumerate(grades)
        for side in "RL"
    ]


@given(
    grades=st.lists(st.integers(0, 4), min_size=10, max_size=60),
    seed=st.integers(0, 99),
    order=st.randoms(use_true_random=False),
)
def test_splits_keep_participants_whole_and_grades_even(grades, seed, order):
    items = knees(grades)
    splits = split_by_kl(items, seed=seed)
    people = {name: {item["participant"] for item in part} for name, part in splits.items()}
    assert sum(map(len, people.values())) == len(grades) == len(set().union(*people.values()))
    for name, share in (("training", 0.7), ("validation", 0.2), ("test", 0.1)):
        assert abs(len(people[name]) - share * len(grades)) <= 1
        for grade in set(grades):
            there = sum(grades[int(person[1:])] == grade for person in people[name])
            assert abs(there - share * grades.count(grade)) <= 2
    shuffled = list(items)
    order.shuffle(shuffled)
    again = split_by_kl(shuffled, seed=seed)
    assert {n: {i["case"] for i in p} for n, p in again.items()} == {
        n: {i["case"] for i in p} for n, p in splits.items()
    }


@given(grades=st.lists(st.integers(0, 4), min_size=20, max_size=60), seed=st.integers(0, 9))
def test_whoever_has_a_split_keeps_it_when_knees_are_added(grades, seed):
    first = split_by_kl(knees(grades[::2]), seed=seed)
    kept = {item["participant"]: name for name, part in first.items() for item in part}
    splits = split_by_kl(knees(grades), seed=seed, kept=kept)
    now = {item["participant"]: name for name, part in splits.items() for item in part}
    assert now.items() >= kept.items() and len(now) == len(grades)
    for name, share in (("training", 0.7), ("validation", 0.2), ("test", 0.1)):
        assert abs(list(now.values()).count(name) - share * len(grades)) <= 1


def test_sites_that_are_held_out_hold_when_knees_are_added():
    first = split_by_site(knees([0, 1, 2] * 5), ["b"])
    kept = {item["participant"]: name for name, part in first.items() for item in part}
    splits = split_by_site(knees([0, 1, 2] * 10), ["b"], kept=kept)
    now = {item["participant"]: name for name, part in splits.items() for item in part}
    assert now.items() >= kept.items()
    assert {item["site"] for item in splits["test"]} == {"B"}


def test_another_seed_is_another_split():
    items = knees([0, 1, 2, 3, 4] * 8)
    assert split_by_kl(items, seed=1) != split_by_kl(items, seed=2)


def test_sites_can_be_held_out():
    splits = split_by_site(knees([0, 1, 2] * 10), ["b"])
    assert {item["site"] for item in splits["test"]} == {"B"}
    assert {item["site"] for item in splits["training"] + splits["validation"]} == {"A", "C"}
    assert len(splits["validation"]) == pytest.approx(2 / 9 * 40, abs=2)


@pytest.mark.parametrize("sites", [["Z"], ["A", "B", "C"], []])
def test_sites_that_cannot_be_held_out_are_refused(sites):
    with pytest.raises(DatalistError, match="A, B, C"):
        split_by_site(knees([1] * 9), sites)


@pytest.mark.parametrize("ratios", [(7, 2), (0, 0, 0), (-1, 2, 3), (float("nan"), 1, 1)])
def test_ratios_that_split_nothing_are_refused(ratios):
    with pytest.raises(DatalistError, match="shares"):
        split_by_kl(knees([1, 2]), ratios)
