"""The module `SampleData`: keeps what is registered; downloads nothing.

A source whose URI is a `file:` URL can be loaded by its name.
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
    return list(value) if isinstance(value, (list, tuple)) else [value]


class SampleDataLogic:
    """The part that modules use. Files are named also where nothing is downloaded; only the
    gallery's buttons call a custom download function."""

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
    ) -> None:
        if uris is None:
            raise TypeError("object of type 'NoneType' has no len()")  # Slicer's own words
        source = Source(
            str(sampleName), _list(uris), _list(fileNames), _list(nodeNames), _list(checksums)
        )
        source.thumbnailFileName, source.customDownloader = thumbnailFileName, customDownloader
        source.category = category
        source.more = {"loadFileType": loadFileType, "loadFiles": loadFiles, **more}
        SampleDataLogic.sources[source.sampleName] = source

    @staticmethod
    def sampleDataSourcesByCategory(category: str | None = None) -> Any:
        every = SampleDataLogic.sources.values()
        if category is not None:
            return [source for source in every if source.category == category]
        names = dict.fromkeys(source.category for source in every)
        return {name: [s for s in every if s.category == name] for name in names}

    def downloadSample(self, name: str) -> Any:
        return self.downloadSamples(name)[0]

    def downloadSamples(self, name: str) -> list[Any]:
        return self.downloadFromSource(self.sources[name])

    def downloadFromSource(self, source: Source) -> list[Any]:
        """What a button of the gallery does, unless its source has a download of its own."""
        nodes = []
        names = source.nodeNames or source.fileNames
        for uri, node_name in zip(source.uris, names, strict=True):
            parts = urlsplit(uri)
            if parts.scheme != "file":
                raise OSError(f"the harness downloads nothing: {uri}")
            path = Path(unquote(parts.path))
            node = slicer.util.loadVolume(str(path), {"name": node_name})
            slicer.mrmlScene.RemoveNode(node.GetStorageNode())  # of a copy that may go
            node.SetAndObserveStorageNodeID(None)
            nodes.append(node)
        return nodes


def make() -> types.ModuleType:
    module = types.ModuleType("SampleData", __doc__)
    module.SampleDataLogic = SampleDataLogic
    module.SampleDataSource = Source
    module.downloadSample = lambda name: SampleDataLogic().downloadSample(name)
    return module
