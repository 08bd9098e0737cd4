"""The panel and its parameter node, bound and unbound again and again. The harness binds as Slicer
5.4 does (docs/slicer_versions.md); with `SLICER_SOURCE` it is that version's own code."""

from __future__ import annotations

import gc
from collections import Counter

import pytest

pytestmark = pytest.mark.gui


@pytest.fixture
def calls(user, monkeypatch):
    """How often each method of the parameter node was called with each name."""
    from XR2MRILib.parameters import XR2MRIParameterNode

    counted: Counter = Counter()
    for method in ("getValue", "setValue"):
        original = getattr(XR2MRIParameterNode, method)

        def count(self, name, *more, method=method, original=original):
            counted[method, name] += 1
            return original(self, name, *more)

        monkeypatch.setattr(XR2MRIParameterNode, method, count)
    return counted


def round_trip(user) -> None:
    user.slicer.util.selectModule("")
    user.slicer.util.selectModule("XR2MRI")
    user.events()


def written_by_a_change(user, calls, value: int) -> int:
    calls.clear()
    user.ui.slicesSpinBox.value = value
    assert user.node.numSlices == value
    return calls["setValue", "numSlices"]


def shown_by_a_change(user, calls) -> int:
    calls.clear()
    user.node.parameterNode.Modified()
    return calls["getValue", "numSlices"]


def test_entering_again_binds_once(user, calls):
    """5.4 to 5.8 tell nobody what they have bound, so that every entering added to it."""
    written, shown = written_by_a_change(user, calls, 60), shown_by_a_change(user, calls)
    assert written == shown == 1
    for _ in range(3):
        round_trip(user)
    assert written_by_a_change(user, calls, 70) == 1
    assert shown_by_a_change(user, calls) == 1, "an observer of an earlier round is left"


def test_what_is_left_of_the_panel_hears_nothing_more(user, calls):
    import harness

    node = user.node.parameterNode
    round_trip(user)
    user.widget.exit()
    calls.clear()
    node.Modified()
    assert calls["getValue", "numSlices"] == 0, "the panel is not shown"
    user.widget.cleanup()
    gc.collect()
    node.Modified()
    user.node.numSlices = 80
    assert not harness.errors


def test_a_node_has_one_wrapper(user):
    """Each wrapper observes its node; one that has been forgotten goes on being called."""
    first = user.logic.getParameterNode()
    assert user.logic.getParameterNode() is first
    assert type(user.logic)().getParameterNode() is first
    user.slicer.mrmlScene.Clear(0)
    user.events()
    again = user.logic.getParameterNode()
    assert again.numSlices == 50 and again.features == {} and again.radiograph is None
    user.ui.slicesSpinBox.value = 90
    assert user.logic.getParameterNode().numSlices == 90


def test_reloading_takes_the_panel_along(user, calls):
    user.ui.slicesSpinBox.value = 60
    user.widget.onReload()
    user.events()
    assert user.ui.slicesSpinBox.value == 60 and user.node.numSlices == 60
    user.ui.slicesSpinBox.value = 65
    assert user.node.numSlices == 65
