"""Which DICOM files are radiographs: one answer, wherever the question is asked."""

import pytest

from xr2mri_core.transforms.dicom_statements import MODALITIES


def test_slicer_has_the_list_of_the_reader():
    """The extension shares no code with the core: this holds both to one list."""
    from XR2MRILib.modalities import RADIOGRAPHS

    assert sorted(RADIOGRAPHS) == sorted(MODALITIES)


_TAGS = ("00080060", "00080018", "0020000E", "0020000D")
UIDS = ("1.2.3.1", "1.2.3", "1.2")


class Pacs:
    """Answers as a DICOMweb server that has one series of each modality."""

    def __init__(self, modalities):
        self.modalities = modalities

    def search_for_series(self, search_filters, limit):
        asked = search_filters["Modality"]
        if asked not in self.modalities:
            return []
        return [{"0020000E": {"Value": [f"1.{self.modalities.index(asked)}"]}}]

    def search_for_instances(self, search_filters, fields):
        return [
            {tag: {"Value": [value]} for tag, value in zip(_TAGS, (modality, *UIDS), strict=True)}
            for modality in self.modalities
        ]


@pytest.fixture
def studies():
    from monai_app.lib.dicomweb import DicomWebStudies

    found = DicomWebStudies("http://127.0.0.1:9/dicom-web")
    found._client = Pacs([*MODALITIES, "MR", "CT"])
    return found


def test_a_pacs_offers_what_the_reader_reads(studies):
    assert studies.list_images() == [f"1.{index}" for index in range(len(MODALITIES))]


@pytest.mark.parametrize("modality", [*MODALITIES, "cr", "", "MR", "SR"])
def test_images_of_a_pacs_are_chosen_by_the_same_list(studies, modality):
    studies._client = Pacs([modality])
    studies._instance = lambda *uids: b"file"
    found = studies.radiograph(UIDS[1], None, None)
    assert (found and found.content) == (b"file" if modality.upper() in ("", *MODALITIES) else None)
