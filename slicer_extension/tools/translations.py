"""Bring the translations up to date with the texts of the module, and compile them.

    python slicer_extension/tools/translations.py            # needs PySide6 for lrelease

Texts are what the module's `_("...")` and its .ui file hold. Each language has a file
`Resources/Translations/XR2MRI_<language>.ts`, to be translated with Qt Linguist or Weblate, and a
compiled `.qm` beside it, which Slicer loads. Texts that have gone are dropped, new ones are marked
as unfinished.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path

MODULE = Path(__file__).resolve().parents[1] / "XR2MRI"
FOLDER = MODULE / "Resources" / "Translations"
UI = MODULE / "Resources" / "UI" / "XR2MRI.ui"

Texts = dict[str, dict[str, str]]
"""Context -> text -> its translation, empty where there is none."""


def texts() -> Texts:
    """Every text of the module, in the order of the files."""
    found: Texts = {}
    for path in (MODULE / "XR2MRI.py", *_packages()):
        for text in _of_code(path):
            found.setdefault(context(path), {})[text] = ""
    for text in _of_form(UI):
        found.setdefault(ET.parse(UI).getroot().findtext("class", ""), {})[text] = ""
    return found


def context(path: Path) -> str:
    """Under which Slicer's `tr` looks texts of a file up (`slicer.i18n.getContext`)."""
    package = path.parent.name if (path.parent / "__init__.py").is_file() else ""
    return f"{package}.{path.stem}" if package else path.stem


def read(path: Path) -> Texts:
    """The translations of a .ts file, without those that are unfinished."""
    found: Texts = {}
    for part in ET.parse(path).getroot().iter("context"):
        messages = found.setdefault(part.findtext("name", ""), {})
        for message in part.iter("message"):
            target = message.find("translation")
            done = target is not None and target.get("type") is None
            messages[message.findtext("source", "")] = (target.text or "") if done else ""
    return found


def merged(wanted: Texts, known: Texts) -> Texts:
    """The texts that are wanted with the translations that are known, of the same text in another
    file where its own has none."""
    anywhere: Mapping[str, str] = {
        text: translation
        for part in known.values()
        for text, translation in part.items()
        if translation
    }
    return {
        name: {text: known.get(name, {}).get(text) or anywhere.get(text, "") for text in part}
        for name, part in wanted.items()
    }


def write(path: Path, content: Texts) -> None:
    """Write a .ts file."""
    language = path.stem.split("_")[-1]
    root = ET.Element("TS", version="2.1", language=language, sourcelanguage="en")
    for name, messages in content.items():
        part = ET.SubElement(root, "context")
        ET.SubElement(part, "name").text = name
        for text, translation in messages.items():
            message = ET.SubElement(part, "message")
            ET.SubElement(message, "source").text = text
            target = ET.SubElement(message, "translation")
            target.text = translation
            if not translation:
                target.set("type", "unfinished")
    ET.indent(root, " ")
    body = ET.tostring(root, encoding="unicode")
    path.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE TS>\n{body}\n', "utf-8")


def compile_(source: Path, target: Path) -> None:
    """Make a .qm file of a .ts file."""
    program = Path(sys.executable).with_name("pyside6-lrelease")
    subprocess.run([program, "-silent", source, "-qm", target], check=True)


def _packages() -> Iterator[Path]:
    for name in ("XR2MRILib", "xr2mri_client"):
        yield from sorted((MODULE / name).rglob("*.py"))


def _of_code(path: Path) -> Iterator[str]:
    calls = (n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call))
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        if isinstance(call.func, ast.Name) and call.func.id == "_":
            (argument,) = call.args
            if not isinstance(argument, ast.Constant):
                raise SystemExit(f"{path}, {call.lineno}: a text to be translated is no constant")
            yield argument.value


def _of_form(path: Path) -> Iterator[str]:
    for element in ET.parse(path).getroot().iter():
        if element.tag == "stringlist":
            continue
        for text in element.findall("string"):
            if text.get("notr") != "true" and (text.text or "").strip():
                yield text.text or ""


def main() -> None:
    for path in sorted(FOLDER.glob("*.ts")):
        content = merged(texts(), read(path))
        write(path, content)
        compile_(path, path.with_suffix(".qm"))
        left = sum(not translation for part in content.values() for translation in part.values())
        print(f"{path.name}: {sum(map(len, content.values()))} texts, {left} not translated")


if __name__ == "__main__":
    main()
