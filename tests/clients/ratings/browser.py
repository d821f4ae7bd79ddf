"""Headless Chromium, driven over its DevTools protocol through a pipe."""

import base64
import itertools
import json
import os
import pathlib
import select
import subprocess
import tempfile
import time

DEADLINE_S = 120
START = ["chromium", "--headless", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage",
         "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-extensions", "--no-pings", "--mute-audio", "--window-size=900,700",
         # Nothing but this machine, whatever it would like to know.
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


class Browser:
    """One page of a browser of its own, which ends with the block."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="selvage-chromium.", ignore_cleanup_errors=True)
        self.log = pathlib.Path(self.profile.name, "log")
        to_browser, self.commands = os.pipe()
        self.answers, from_browser = os.pipe()
        # The pipe's ends are its descriptors 3 and 4.
        shell = ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([*shell, *START, f"--user-data-dir={self.profile.name}", "about:blank"],
                                            pass_fds=[to_browser, from_browser], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        os.close(to_browser)
        os.close(from_browser)
        self.numbers, self.received, self.session = itertools.count(1), b"", None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.commands)  # the browser ends when nobody is there any more
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.answers)
        self.profile.cleanup()

    def call(self, method, **params):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + DEADLINE_S
        while True:
            answer = self._next(method, deadline)
            if answer.get("id") != number:
                continue  # an event
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            return answer["result"]

    def _next(self, method, deadline):
        while b"\0" not in self.received:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.answers], [], [], left)[0]:
                raise TimeoutError(f"{method}: no answer")
            piece = os.read(self.answers, 1 << 16)
            if not piece:
                raise RuntimeError(f"{method}: the browser has ended\n{self.log.read_text(errors='replace')[-4000:]}")
            self.received += piece
        message, _, self.received = self.received.partition(b"\0")
        return json.loads(message)

    def open(self, url):
        self.call("Page.navigate", url=url)

    def evaluate(self, expression):
        """The value of an expression in the page; of a promise what it comes to."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, condition):
        """Until `condition`, an expression, is true of the document, which is looked at whenever it changes."""
        looking = f"""new Promise(done => {{
            const look = () => {{ if ({condition}) {{ observer.disconnect(); done(true); }} }};
            const observer = new MutationObserver(look);
            observer.observe(document, {{subtree: true, childList: true, characterData: true, attributes: true}});
            look();
        }})"""
        self.evaluate(looking)

    def screenshot(self, path):
        shot = self.call("Page.captureScreenshot", format="png")
        pathlib.Path(path).write_bytes(base64.b64decode(shot["data"]))
