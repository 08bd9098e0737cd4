"""No path and no traceback of the server in a text that leaves it."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served_routes import everything

from monai_app.lib.security.scrub import ScrubbedStream, Scrubber

SCRUBBER = Scrubber(["/info-of/studies", "/usr/share/my studies"], everything())
ROOTS = [name for name in os.listdir("/") if name in ("home", "tmp", "etc", "usr", "var", "root")]
segments = st.text(
    st.characters(
        codec="utf-8", exclude_characters="/'\"\\\n<>,;)]}", exclude_categories=("Z", "C")
    ),
    min_size=1,
    max_size=8,
)
paths = st.builds(
    lambda root, parts: "/" + "/".join([root, *parts]),
    st.sampled_from(ROOTS),
    st.lists(segments, min_size=1, max_size=3),
)


def clean(value):
    return json.loads(SCRUBBER.scrub(json.dumps(value).encode()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot read /home/ada/Doe.dcm: cut off", "cannot read [path] cut off"),
        ("No such file: '/tmp/John Doe/knee 1.nii'", "No such file: '[path]'"),
        ('see "/etc/passwd" now', 'see "[path]" now'),
        ("file:///var/log/x", "file://[path]"),
        ("/usr", "[path]"),
        ("in /info-of/studies/a.png", "in [path]"),
        ("'/usr/share/my studies/a b'", "'[path]'"),
    ],
)
def test_paths_go(text, expected):
    assert clean({"detail": text}) == {"detail": expected}


@pytest.mark.parametrize(
    "text",
    [
        *[route.path for route in everything().routes],
        "POST /infer/knee_xr2mri, then /jobs/4f1c/result",
        "application/json, 1/2 of a/home/b",
        "https://github.com/usr/repo",
        "/homework and /tmpfile",
        "mm/px",
    ],
)
def test_other_texts_stay(text):
    assert clean([text]) == [text]


def test_tracebacks_go():
    trace = 'Traceback (most recent call last):\n  File "/home/x.py", line 1, in f\nKeyError: 1'
    assert clean({"log": ["ok", trace]}) == {"log": ["ok", "[traceback withheld]"]}
    assert SCRUBBER.scrub(b"oh " + trace.encode(), json=False) == b"oh [traceback withheld]"


@given(paths, st.text(max_size=10), st.text(max_size=10))
def test_json_stays_json_and_no_path_survives(path, before, after):
    for text in (
        f"{before} {path} {after}",
        f"{before}'{path}'{after}",
        f'{before}"{path}"{after}',
    ):
        cleaned = clean({"detail": text, "n": [1, None]})
        assert path not in cleaned["detail"]
        assert cleaned["n"] == [1, None]


@given(st.lists(st.text(max_size=12) | paths, max_size=6), st.integers(1, 9))
def test_a_stream_is_scrubbed_as_a_whole(texts, size):
    body = json.dumps(texts).encode()
    stream = ScrubbedStream(SCRUBBER, json=True)
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    cleaned = b"".join(stream.feed(piece, False) for piece in pieces) + stream.feed(b"", True)
    assert json.loads(cleaned) == clean(texts)
