"""Run a test script inside Slicer and leave with its verdict, where no CTest is at hand: what the
workflow of the extension's repository gives Slicer as its Python script, with the test after it."""

import importlib.util
import os
import sys
import unittest

import slicer


def run(script):
    """The exit status: 0 where every test of the script has passed, and there was one."""
    sys.path.insert(0, os.path.dirname(script))
    name = os.path.splitext(os.path.basename(script))[0]
    spec = importlib.util.spec_from_file_location(name, script)
    code = importlib.util.module_from_spec(spec)
    sys.modules[name] = code
    spec.loader.exec_module(code)
    suite = unittest.defaultTestLoader.loadTestsFromModule(code)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    slicer.util.exit(run(os.path.abspath(sys.argv[-1])))
