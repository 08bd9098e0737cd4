"""The module `SampleData`: keeps what is registered; downloads nothing.

A source whose URI is a `file:` URL, or that has a custom download function, can be loaded.
"""

from __future__ import annotations

import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import slicer


@dataclass
class Source:
    """What a module registered."""

    sampleName: str
    uris: list[str] = field(default_factory=list)
    fileNames: list[str] = field(default_factory=list)
    nodeNames: list[str] = field(default_factory=list)
    checksums: list[str] = field(default_factory=list)
    thumbnailFileName: str | None = None
    customDownloader: Any = None
    category: str = ""
    more: dict[str, Any] = field(default_factory=dict)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]


class SampleDataLogic:
    """The part that modules use."""

    sources: ClassVar[dict[str, Source]] = {}

    @staticmethod
    def registerCustomSampleDataCategory(category: str, **_: Any) -> None:
        """A heading among the sample data; nothing to keep."""

    @staticmethod
    def registerCustomSampleDataSource(
        category: str = "Custom",
        sampleName: str | None = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        customDownloader: Any = None,
        thumbnailFileName: str | None = None,
        loadFileType: Any = None,
        loadFiles: Any = None,
        loadFileProperties: Any = None,
        checksums: Any = None,
        **more: Any,
    ) -> Source:
        source = Source(
            str(sampleName), _list(uris), _list(fileNames), _list(nodeNames), _list(checksums)
        )
        source.thumbnailFileName, source.customDownloader = thumbnailFileName, customDownloader
        source.category = category
        source.more = {"loadFileType": loadFileType, "loadFiles": loadFiles, **more}
        SampleDataLogic.sources[source.sampleName] = source
        return source

    def downloadSample(self, name: str) -> Any:
        nodes = self.downloadSamples(name)
        return nodes[0] if nodes else None

    def downloadSamples(self, name: str) -> list[Any]:
        source = self.sources[name]
        if source.customDownloader is not None:
            return _list(source.customDownloader(source))
        nodes = []
        names = source.nodeNames or source.fileNames
        for uri, node_name in zip(source.uris, names, strict=True):
            parts = urlsplit(uri)
            if parts.scheme != "file":
                raise OSError(f"the harness downloads nothing: {uri}")
            path = Path(unquote(parts.path))
            nodes.append(slicer.util.loadVolume(str(path), {"name": node_name}))
        return nodes


def make() -> types.ModuleType:
    module = types.ModuleType("SampleData", __doc__)
    module.SampleDataLogic = SampleDataLogic
    module.SampleDataSource = Source
    module.downloadSample = lambda name: SampleDataLogic().downloadSample(name)
    return module
