"""Headless Chromium over its debugging pipe, with nothing but the standard library."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One page in a browser that reaches no network.

    Args:
        page: HTML file.
        profile: folder for the browser's own files.
        size: of the window in pixels.
    """

    def __init__(self, page: Path, profile: Path, size: tuple[int, int] = (1400, 1000)) -> None:
        assert PROGRAM
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # It reads commands from descriptor 3 and answers on 4.
        shell = f"exec {PROGRAM} " + " ".join([
            "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--remote-debugging-pipe", "--host-resolver-rules='MAP * ~NOTFOUND'",
            "--force-device-scale-factor=1", f"--user-data-dir={profile}",
            f"--window-size={size[0]},{size[1]}", "about:blank",
            f"3<&{to_browser} 4>&{from_browser}",
        ])  # fmt: skip
        self._process = subprocess.Popen(
            ["bash", "-c", shell], pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._number, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        attached = self("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self(f"{domain}.enable")
        self("Page.navigate", url=page.resolve().as_uri())

    def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol and its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._buffer:
                part = os.read(self._read, 1 << 20)
                assert part, "the browser has ended"
                self._buffer += part
            text, _, self._buffer = self._buffer.partition(b"\0")
            answer = json.loads(text)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def value(self, expression: str) -> Any:
        """What an expression of the page gives."""
        answer = self("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = 120) -> None:
        """Until an expression is true."""
        end = time.monotonic() + seconds
        while not self.value(expression):
            assert time.monotonic() < end, f"never: {expression}"
            time.sleep(0.1)

    def box(self, element: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of an element in the window, which is scrolled to it."""
        self.value(f"document.getElementById('{element}').scrollIntoView({{block: 'center'}})")
        keys = ["left", "top", "width", "height"]
        found = self.value(
            f"(() => {{ const b = document.getElementById('{element}').getBoundingClientRect();"
            f" return [{', '.join('b.' + key for key in keys)}]; }})()"
        )
        return tuple(found)

    def picture(self, element: str) -> np.ndarray:
        """A screenshot of an element, (rows, columns, 3) uint8."""
        left, top, width, height = self.box(element)
        across, down = self.value("[window.scrollX, window.scrollY]")
        clip = {"x": left + across, "y": top + down, "width": width, "height": height, "scale": 1}
        data = self("Page.captureScreenshot", clip=clip)["data"]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))

    def mouse(self, kind: str, element: str, at: tuple[float, float] = (0.5, 0.5), **more) -> None:
        """A mouse event over a place of an element, in shares of its size."""
        left, top, width, height = self.box(element)
        self("Input.dispatchMouseEvent", type=kind, x=left + at[0] * width,
             y=top + at[1] * height, **more)  # fmt: skip

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)
        os.close(self._read)
        os.close(self._write)
