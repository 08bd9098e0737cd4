"""The reading box: foreign files are parsed in processes that hold nothing and may do nothing.

    box = ReadingBox()
    radiograph = box.prepare(upload, 256, name="knee.dcm", owner="alice")    # as in-process

A radiograph from a client, a studies folder or a PACS goes through parsers, native decoders and a
network, any of which may have a fault that a file can use. So each file is read, its knee found and
cut out by a process of its own; the server gets 256 x 256 numbers.

- `child` is the program: a process that has loaded readers and detector, and nothing else, forks
  for every file. It was started with an empty environment and without any file of the server.
- `confinement` is what such a fork gives up before it sees the first byte.
- `turns` is who may have a file read, and for how long, while others wait.
- `answer` is what comes back: JSON and plain numbers, each of them checked. Nothing is unpickled,
  which is why this is no pool of pebble's or loky's: both take results by pickle, and let a process
  that has read one client's file read the next one's.
- `box` is what the server calls.
"""

from monai_app.lib.reading_box.box import ReadingBox, Source
from monai_app.lib.reading_box.confinement import Limits
from monai_app.lib.reading_box.turns import ClientGone, Crowded, Turns

__all__ = ["ClientGone", "Crowded", "Limits", "ReadingBox", "Source", "Turns"]
