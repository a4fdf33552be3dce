"""Chromium without a window, driven through pipes: needs nothing beside the browser."""

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --enable-unsafe-swiftshader --no-first-run "
    "--disable-dev-shm-usage --window-size=1600,1200 --remote-debugging-pipe"
)

# What can be seen, through the shadow trees and frames that TensorBoard's parts hide in.
SEEN = """
(() => {
  const seen = {texts: [], images: 0, audio: 0, canvases: 0, lines: 0};
  const walk = (node) => {
    for (const child of node.childNodes) {
      const text = child.nodeType === Node.TEXT_NODE ? child.data.trim() : '';
      if (text) seen.texts.push(text);
      if (child.nodeType !== Node.ELEMENT_NODE || !child.checkVisibility()) continue;
      if (child.tagName === 'IMG' && child.complete && child.naturalWidth > 0) seen.images += 1;
      if (child.tagName === 'AUDIO' && child.readyState > 0) seen.audio += 1;
      if (child.tagName === 'CANVAS' && child.width > 0) seen.canvases += 1;
      if (child.tagName === 'path' && child.getTotalLength() > 20) seen.lines += 1;
      if (child.tagName === 'INPUT') seen.texts.push(child.value);
      if (child.contentDocument) walk(child.contentDocument);
      if (!['STYLE', 'SCRIPT'].includes(child.tagName)) walk(child);
    }
    if (node.shadowRoot) walk(node.shadowRoot);
  };
  walk(document);
  return seen;
})()
"""


def find_browser() -> str | None:
    """Return the path of a browser, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def wait_or_kill(process: subprocess.Popen) -> None:
    """Wait until a process that was asked to end does; do not ask for ever."""
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Browser:
    """One page; the protocol is https://chromedevtools.github.io/devtools-protocol."""

    def __init__(self, profile: Path) -> None:
        commands, self.commands = os.pipe()
        self.answers, answers = os.pipe()
        browser = [find_browser(), *OPTIONS.split(), f"--user-data-dir={profile}"]
        pipes = f'exec "$@" 3<&{commands} 4>&{answers}'
        self.process = subprocess.Popen(
            ["bash", "-c", pipes, "bash", *browser],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self.rest, self.number, self.session = b"", 0, {}
        page = self.ask("Target.createTarget", url="about:blank")
        page = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = {"sessionId": page["sessionId"]}

    def ask(self, method: str, **given: Any) -> dict[str, Any]:
        """Send a command and return its answer; what happens beside it is left out."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": given} | self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                read = os.read(self.answers, 2**20)
                assert read, "the browser has ended"
                self.rest += read
            text, _, self.rest = self.rest.partition(b"\0")
            answer = json.loads(text)
            if answer.get("id") == self.number:
                return answer.get("result", {})

    def open(self, address: str) -> None:
        """Go to a page, afresh even where only its part behind # is another."""
        self.ask("Page.navigate", url="about:blank")
        self.ask("Page.navigate", url=address)

    def value(self, expression: str) -> Any:
        """Return what an expression is on the page."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return found.get("result", {}).get("value")  # none while a page changes

    def seen(self, *texts: str, seconds: float = 20, **least: int) -> dict[str, Any]:
        """Return what is seen once these texts are, and so many images, lines, ..."""
        end = time.monotonic() + seconds
        while True:
            seen = self.value(SEEN) or {"texts": []} | dict.fromkeys(least, 0)
            missing = [text for text in texts if text not in seen["texts"]]
            few = {what: seen[what] for what, number in least.items() if seen[what] < number}
            if not missing and not few:
                return seen
            assert time.monotonic() < end, f"not seen: {missing} {few}, but {seen}"
            time.sleep(0.2)

    def picture(self, path: Path) -> None:
        """Write what the page looks like."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        """End the browser."""
        self.ask("Browser.close")
        wait_or_kill(self.process)
        os.close(self.commands)
        os.close(self.answers)
