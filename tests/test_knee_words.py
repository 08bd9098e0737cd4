"""What descriptions in words say of a knee, in many languages, and when nothing is to be said."""

# ruff: noqa: E501

import pytest
from pydicom import Dataset, Sequence
from pydicom.uid import generate_uid

from xr2mri_core.geometry import Laterality
from xr2mri_core.transforms.dicom_statements import (
    intent_notes,
    polarity_notes,
    side_of_header,
    view_notes,
)
from xr2mri_core.transforms.knee_words import Words
from xr2mri_core.transforms.knee_words_table import LANGUAGES

KEYWORDS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription",
            "StudyDescription", "PerformedProcedureStepDescription",
            "RequestedProcedureDescription")  # fmt: skip
ORDINARY = """
Knee AP | KNEE PA | XR KNEE 2 VIEWS | XR Knee 3V W Sunrise | KNEE AP STANDING | Knee 1 or 2
views right | KNEE AP/LAT | XR KNEE RIGHT 2V | Right knee | KNEE RT AP | RT KNEE | R KNEE |
KNEE_R | Bilateral PA Fixed Flexion Knee | PA Fixed Flexion Right Knee | Rosenberg | KNEE
WEIGHT BEARING | XR KNEE COMPLETE 4+ VIEWS | DX KNEE 2V | KNEES BOTH STANDING | Knee
contralateral comparison | Knee collateral ligament AP | KNEE AP R/O FX | LEG LENGTH | HIP
KNEE ANKLE ALIGNMENT | LOWER EXTREMITY | RIGHT LOWER EXTREMITY AP | Kniegelenk a.p. | Knie
rechts in 2 Ebenen | Knie bds. a.p. | Knie re | Kniegelenk re. a.-p. stehend |
Ganzbeinaufnahme | Beinachse | Genou D face | Genou droit de face | Genoux face en charge |
Genou schuss | 2 incidences genou droit | Rodilla derecha AP | Rodilla der. AP y lateral |
Rodilla AP de pie | Rodillas AP bilateral | Joelho direito AP | Joelho D AP | Ginocchio
destro | Ginocchio dx AP | Ginocchia sotto carico | Kolano prawe AP | Kolano P AP | Stawy
kolanowe AP | Koleno pravé AP | Коленный сустав прямая | Правый коленный сустав | Коленные
суставы в 2 проекциях | Höger knä frontal | Knä hö | Højre knæ | Oikea polvi AP | Sağ diz AP
| Jobb térd AP | 膝关节正位 | 右膝关节正侧位 | 双膝正位 | 膝関節 正面 | 両膝 立位 正面 | 右膝関節 2方向 | 슬관절 전후 | 우측 슬관절 |
Right Knee AP (QC) | Default | ROUTINE | Extremity | OAI | Standing | Lutut kanan AP | Gối
phải | الركبة اليمنى | ברך ימין | Δεξί γόνατο
"""


def header(**tags) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet, dataset.StudyInstanceUID = "ISO_IR 192", generate_uid()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def item(**tags) -> Sequence:
    return Sequence([header(**tags)])


@pytest.mark.parametrize("text", [text.strip() for text in ORDINARY.replace("\n", " ").split("|")])
def test_nothing_is_said_of_an_ordinary_description(text):
    for keyword in KEYWORDS:
        right_knee = header(BodyPartExamined="KNEE", ImageLaterality="R", **{keyword: text})
        side, notes = side_of_header(right_knee)
        assert side is Laterality.RIGHT and notes == view_notes(right_knee) == ()


@pytest.mark.parametrize(
    "text",
    ["膝关节侧位", "膝関節 側面", "Knie seitl.", "Knie seitlich", "Kolano bok", "Kolano boczne",
     "KNEE TUNNEL", "KNEE NOTCH PA", "Knä sida", "Genou profil", "Rodilla perfil", "Knæ side",
     "Ginocchio LL", "ginocchio laterale", "Колено бок", "Коленный сустав боковая", "Polvi sivu",
     "슬관절 측면", "Koleno boční", "Knie zijdelings", "Diz yan", "KNEE_LAT", "X-TABLE LAT KNEE",
     "Knie Tunnelaufnahme", "Genou échancrure", "膝 スカイライン", "髌骨轴位", "KNEE OBL",
     "knee 1 view lateral"],
)  # fmt: skip
def test_a_view_that_is_not_frontal_is_told_in_any_language(text):
    for keyword in KEYWORDS:
        [note] = view_notes(header(**{keyword: text}))
        assert text.upper() in note.upper() and "not a frontal view" in note


@pytest.mark.parametrize(
    "text",
    ["Knee AP, lateral and sunrise", "KNEE AP/LAT", "膝关节正侧位", "Knie a.p. und seitlich",
     "Genou face profil", "XR KNEE 4V W SUNRISE", "KNEE AP LAT NOTCH", "Knie in 2 Ebenen"],
)  # fmt: skip
def test_a_description_of_several_views_says_nothing_of_one(text):
    assert all(view_notes(header(**{keyword: text})) == () for keyword in KEYWORDS)


def test_a_study_of_views_says_nothing_of_a_picture_that_states_its_own():
    assert view_notes(header(StudyDescription="KNEE LATERAL"))
    for own in ({"ViewPosition": "PA"}, {"SeriesDescription": "Knee AP"}):
        assert view_notes(header(StudyDescription="KNEE LATERAL", **own)) == ()


@pytest.mark.parametrize(
    "text",
    ["左膝 正位", "Rodilla izq", "Rodilla I", "Genou G", "Genou G face", "Genou gauche",
     "Левый коленный", "Колено слева", "Knie li", "Knie L", "KNEE LEFT", "XR KNEE LEFT 2V", "LKNEE",
     "LeftKnee", "KNEE_L", "Knee AP L", "L-KNEE", "Kolano lewe", "Kolano L", "Koleno levé",
     "Ginocchio sn sinistro", "ginocchio sx", "Joelho E", "Joelho esq.", "Vänster knä", "Knä vä",
     "Venstre knæ", "Vasen polvi", "Sol diz", "Bal térd", "Genunchi stâng", "Αριστερό γόνατο",
     "좌측 무릎", "左膝関節", "Lutut kiri", "Gối trái", "الركبة اليسرى", "ברך שמאל", "Koljeno lijevo",
     "เข่าซ้าย"],
)  # fmt: skip
def test_a_side_in_words_is_held_against_the_one_that_is_stated(text):
    for keyword in KEYWORDS:
        side, [note] = side_of_header(header(ImageLaterality="R", **{keyword: text}))
        assert side is Laterality.RIGHT and "contradicts itself" in note and keyword in note
        assert side_of_header(header(ImageLaterality="L", **{keyword: text}))[1] == ()
        assert "give the laterality L" in side_of_header(header(**{keyword: text}))[1][0]


@pytest.mark.parametrize(
    "text",
    ["Knee AP", "KNEE R/L", "Knie re. und li.", "both knees, left and right", "Articolazione li",
     "KNEE R/O FX", "brighter copyright slept", "DX KNEE", "KNEE 2V", "Genoux G et D", "L SPINE",
     "Obrázek leve", "Sag T1", "la rodilla", "G", "", "膝 正面", "Prague", "der"],
)  # fmt: skip
def test_words_that_name_no_one_side(text):
    assert len(Words(text).sides) != 1


@pytest.mark.parametrize(
    "text",
    ["HIP AP", "HAND 2V", "Hüfte a.p.", "Hanche D", "Cadera AP", "Thorax", "CHEST PA", "Schulter re",
     "Плечевой сустав", "骨盆正位", "股関節", "고관절", "Stopa AP", "Fuß rechts", "L-Spine", "Biodro P"],
)  # fmt: skip
def test_another_part_of_the_body_is_doubted(text):
    for keyword in KEYWORDS:
        for tags in ({}, {"BodyPartExamined": "KNEE"}):
            notes = view_notes(header(**{keyword: text}, **tags))
            assert any("is this a knee" in note for note in notes)
    assert view_notes(header(SeriesDescription="Knee AP", StudyDescription=text)) == ()
    assert not Words(f"{text} KNEE").other_part and not Words(f"{text}, leg length").other_part


LEFT = item(CodeValue="G-A101", CodingSchemeDesignator="SRT", CodeMeaning="Left")
LINKS = item(CodeValue="X1", CodingSchemeDesignator="99L", CodeMeaning="links")
BOTH = item(CodeValue="51440002", CodingSchemeDesignator="SCT")
STRUCTURE, REGION = "PrimaryAnatomicStructure", "AnatomicRegion"


@pytest.mark.parametrize("modifier", [LEFT, LINKS])
@pytest.mark.parametrize("what", [STRUCTURE, REGION])
def test_the_side_may_be_in_a_code_alone(what, modifier):
    knee = item(CodeMeaning="Knee", **{f"{what}ModifierSequence": modifier})
    assert side_of_header(header(**{f"{what}Sequence": knee})) == (Laterality.LEFT, ())
    side, [note] = side_of_header(header(ImageLaterality="R", **{f"{what}Sequence": knee}))
    assert side is Laterality.RIGHT and f"{what}ModifierSequence" in note


def test_a_code_may_say_both_knees_and_a_region_one_of_them():
    knee = item(CodeMeaning="Knee", AnatomicRegionModifierSequence=BOTH)
    side, [note] = side_of_header(header(AnatomicRegionSequence=knee))
    assert side is None and "both knees" in note
    region = item(CodeValue="82169009", CodingSchemeDesignator="SCT", CodeMeaning="Left knee")
    assert side_of_header(header(ImageLaterality="R", AnatomicRegionSequence=region))[1]


def test_the_side_of_a_frame_counts():
    assert side_of_header(header(FrameLaterality="L")) == (Laterality.LEFT, ())
    assert side_of_header(header(ImageLaterality="R", FrameLaterality="L"))[1]


def test_what_was_asked_for_is_read_too():
    asked = item(ScheduledProcedureStepDescription="Knie links seitlich")
    request = {"RequestAttributesSequence": asked}
    assert "seitlich" in view_notes(header(**request))[0]
    assert side_of_header(header(ImageLaterality="R", **request))[1]


@pytest.mark.parametrize("scheme", ["SCT", "SRT"])
def test_a_region_is_known_by_its_code(scheme):
    value = {"SCT": "85562004", "SRT": "T-D8700"}[scheme]
    hand = item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning="")
    [note] = view_notes(header(AnatomicRegionSequence=hand))
    assert "HAND" in note and "is this a knee" in note


@pytest.mark.parametrize(
    ("photometric", "sign", "slope", "told"),
    [
        ("MONOCHROME2", 1, None, True),
        ("MONOCHROME2", -1, None, False),
        ("MONOCHROME1", -1, None, True),
        ("MONOCHROME1", 1, None, False),
        ("MONOCHROME2", 1, "-1", False),
        ("MONOCHROME2", 0, None, False),
    ],
)
def test_what_larger_values_mean_is_held_against_how_they_are_shown(photometric, sign, slope, told):
    tags = {"PhotometricInterpretation": photometric, "PixelIntensityRelationshipSign": sign}
    if slope:
        tags["RescaleSlope"] = slope
    notes = polarity_notes(header(**tags))
    assert bool(notes) is told and all("PixelIntensityRelationshipSign" in note for note in notes)


def test_raw_values_of_the_detector_are_told():
    [note] = intent_notes(header(PresentationIntentType="FOR PROCESSING"))
    assert "raw values" in note and intent_notes(header(PresentationIntentType="")) == ()


def test_every_word_of_the_table_is_found_beside_its_knee():
    for language in LANGUAGES:
        knee = language.knee.split()[0].removesuffix("*")
        for field in ("right", "left", "not_frontal", "both"):
            for word in getattr(language, field).split():
                text = f"{knee} {word.strip('~*')}".replace("_", " ")
                said = Words(text)
                if field == "not_frontal":
                    assert said.not_frontal, text
                else:
                    expected = {"right": {"R"}, "left": {"L"}, "both": {"R", "L"}}[field]
                    assert set(map(str, said.sides)) == expected, text
