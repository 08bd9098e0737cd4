"""Hook of MkDocs: pages of the site that lie elsewhere in the checkout, and links to its files.

Server, bundle and detectors keep their manuals beside themselves, where a checkout's reader looks
for them; the site shows them too. A link to a file that is no part of the site becomes its path.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

CHECKOUT = Path(__file__).resolve().parents[1]
_SERVER, _MODEL = "monai_app/docs", "monai_app/model/knee_xr2mri"
ELSEWHERE = {
    "server/index.md": f"{_SERVER}/server.md",
    "server/security.md": f"{_SERVER}/security.md",
    "server/deploy/nginx.conf": f"{_SERVER}/deploy/nginx.conf",
    "server/deploy/compose.yaml": f"{_SERVER}/deploy/compose.yaml",
    "server/deploy/Dockerfile": f"{_SERVER}/deploy/Dockerfile",
    "server/deploy/xr2mri.service": f"{_SERVER}/deploy/xr2mri.service",
    "model/bundle.md": f"{_MODEL}/docs/README.md",
    "model/model_card.md": f"{_MODEL}/models/model_card.md",
    "model/detector.md": "xr2mri_core/localization/model_card.md",
    "model/polarity.md": "xr2mri_core/transforms/polarity.md",
    "changes.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "LICENSE": "LICENSE",
    "CITATION.cff": "CITATION.cff",
}
"""Place in the site -> file of the checkout."""
_SITE = {path: uri for uri, path in ELSEWHERE.items()}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies elsewhere."""
    for uri, path in ELSEWHERE.items():
        files.append(File.generated(config, uri, abs_src_path=str(CHECKOUT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead a page's links to the site."""
    return linked(markdown, page.file.src_uri)


def linked(markdown: str, uri: str) -> str:
    """A page's text whose links to files of the checkout lead within the site, or are paths."""
    folder = posixpath.dirname(ELSEWHERE.get(uri, f"docs/{uri}"))

    def one(link: re.Match[str]) -> str:
        image, text, target, anchor = link.groups(default="")
        if ":" in target:  # of another host
            return link[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        if path.startswith("docs/"):
            place = path.removeprefix("docs/")
        elif path in _SITE:
            place = _SITE[path]
        else:
            return f"{text} (`{path}`)" if text.strip("`") != path else f"`{path}`"
        within = posixpath.relpath(place, posixpath.dirname(uri) or ".")
        return f"{image}[{text}]({within}{anchor})"

    return _LINK.sub(one, markdown)
