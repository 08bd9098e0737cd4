"""Texts are extracted, translated into German, shown, and looked up once."""

from __future__ import annotations

import importlib.util
import re
import sys
import time
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "slicer_extension" / "XR2MRI"
FOLDER = MODULE / "Resources" / "Translations"
FRAME = 2
"""Pixels by which a button that has the keyboard asks for more."""


@pytest.fixture(scope="module")
def tool():
    path = MODULE.parent / "tools" / "translations.py"
    spec = importlib.util.spec_from_file_location("translations", path)
    code = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(code)
    return code


def test_every_text_is_in_the_file_and_translated(tool):
    """`python slicer_extension/tools/translations.py` brings the file up to date."""
    wanted, known = tool.texts(), tool.read(FOLDER / "XR2MRI_de.ts")
    assert {n: set(part) for n, part in wanted.items()} == {n: set(p) for n, p in known.items()}
    assert [
        text for part in known.values() for text, translation in part.items() if not translation
    ] == []
    fields = re.compile(r"(?<!\{)\{([^{}]+)\}(?!\})")
    for part in known.values():
        for text, translation in part.items():
            assert set(fields.findall(text)) == set(fields.findall(translation)), text
            assert text.endswith("...") == translation.endswith("..."), text


def test_the_compiled_file_is_of_the_source(tool, tmp_path):
    tool.compile_(FOLDER / "XR2MRI_de.ts", tmp_path / "de.qm")
    assert (tmp_path / "de.qm").read_bytes() == (FOLDER / "XR2MRI_de.qm").read_bytes()


def test_what_has_gone_is_dropped_and_what_is_new_is_marked(tool, tmp_path):
    path = tmp_path / "XR2MRI_fr.ts"
    tool.write(path, {"a": {"old": "vieux", "same": "m\u00eame <b>"}, "b": {}})
    kept = tool.merged({"a": {"same": ""}, "b": {"same": "", "new": ""}}, tool.read(path))
    assert kept == {"a": {"same": "m\u00eame <b>"}, "b": {"same": "m\u00eame <b>", "new": ""}}
    tool.write(path, kept)
    assert tool.read(path) == kept and path.read_text().count('type="unfinished"') == 1


def test_a_text_that_is_no_constant_is_an_error(tool, tmp_path):
    (tmp_path / "part.py").write_text("_(name)\n")
    with pytest.raises(SystemExit, match=r"part\.py, 1"):
        list(tool._of_code(tmp_path / "part.py"))


# --- in Slicer's place ----------------------------------------------------------------------------


@pytest.fixture
def german(slicer):
    """Somebody whose Slicer is German."""
    import qt
    from user import User

    slicer.app.settings().setValue("language", "de-DE")
    slicer.app.settings().setValue("Internationalization/Enabled", True)
    ours = [n for n in sys.modules if n.split(".")[0] in ("XR2MRILib", "xr2mri_client")]
    for name in ours:
        del sys.modules[name]
    user = User(slicer)
    yield user
    user.leave()
    qt.QCoreApplication.removeTranslator(slicer.modules.XR2MRITranslator)
    del slicer.modules.XR2MRITranslator
    for name in [n for n in sys.modules if n.split(".")[0] in ("XR2MRILib", "xr2mri_client")]:
        del sys.modules[name]


def cut_off(user) -> list[str]:
    """Texts of widgets that are narrower than what is written on them."""
    import ctk
    import qt

    window = user.slicer.util.mainWindow()
    window.resize(1600, 2400)
    window.show()
    for section in user.ui.sections.findChildren(ctk.ctkCollapsibleButton):
        section.collapsed = False
    user.ui.logButton.checked = True
    user.events(8)
    kinds = (qt.QPushButton, qt.QToolButton, qt.QRadioButton, qt.QCheckBox, qt.QLabel)
    places = (user.ui.sections, user.ui.generateFrame)
    widgets = [w for place in places for kind in kinds for w in place.findChildren(kind)]
    assert len(widgets) > 100
    found = []
    for widget in widgets:
        wraps = isinstance(widget, qt.QLabel) and widget.wordWrap
        shown = widget.isVisible() and bool(widget.text) and not wraps
        if shown and widget.width + FRAME < widget.minimumSizeHint.width():
            found.append(f"{widget.name}: {widget.text}")
    area = user.ui.sectionsArea
    if area.viewport().width() < user.ui.sections.minimumSizeHint.width():
        found.append("the sections are wider than the panel")
    window.hide()
    return found


@pytest.mark.gui
def test_nothing_is_cut_off_in_german_and_a_generation_speaks_it(german):
    """Whose words are the longer ones."""
    user, ui = german, german.ui
    assert ui.elsewhereRadio.text == "Ein Server Ihrer Einrichtung", "of the .ui file"
    assert ui.serverStatus.text == "Nicht verbunden.", "of the code"
    assert user.slicer.modules.xr2mri.helpText.startswith("Erzeugt eine synthetische Knie-MRT")
    assert "OWNER" not in user.slicer.modules.xr2mri.helpText, "no link to nobody"
    user.rehearse()
    ui.sampleButton.click()
    user.events()
    volume = user.generate()
    assert "synthetische MRT" in volume.GetName() and "Startwert 7" in ui.messageLabel.text
    assert "(Strg+Eingabe)" in ui.generateButton.text
    assert "Synthetisch, nicht zur Diagnose." in ui.resultNote.text
    assert "nie zur Diagnose" in ui.researchNote.text
    assert "befundet" in ui.summaryLabel.text and ui.generateButton.text.startswith("MRT erzeugen")
    assert cut_off(user) == []


@pytest.mark.gui
@pytest.mark.parametrize(
    "language, enabled", [("en", True), ("fr-FR", True), ("de-DE", False), ("de-DE", None)]
)
def test_other_languages_are_left_alone(slicer, language, enabled):
    """So is Slicer's own where nothing is set: it then translates nothing itself."""
    from xr2mri_client import texts

    slicer.app.settings().setValue("language", language)
    if enabled is not None:
        slicer.app.settings().setValue("Internationalization/Enabled", enabled)
    assert texts.load() is False and not hasattr(slicer.modules, "XR2MRITranslator")


@pytest.mark.gui
def test_texts_are_looked_up_once(user, monkeypatch):
    """However often the panel is brought up to date: `tr` of Slicer looks at files for each."""
    user.rehearse()
    user.ui.sampleButton.click()
    user.events()
    i18n = sys.modules["slicer.i18n"]
    asked = []
    for name in ("tr", "translate", "getContext"):
        real = getattr(i18n, name)
        monkeypatch.setattr(
            i18n, name, lambda *a, real=real, name=name: asked.append(name) or real(*a)
        )
    user.widget.panel.update()
    asked.clear()
    began = time.thread_time()
    for _ in range(20):
        user.widget.panel.update()
    assert asked == [], "the second time nothing is asked"
    assert (time.thread_time() - began) / 20 < 0.05
