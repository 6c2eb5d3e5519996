"""Finds a Chromium, and installs one if there is none: for tests in a browser, and the pictures in docs/pictures.

As root on Debian it is installed with apt, elsewhere with Playwright. Where neither works, the tests that need it are
skipped.
"""

import os
import shutil
import subprocess
import sys
from functools import cache

from script.install import ROOT, VENV, install_extras, say

REQUIREMENTS = ROOT / "requirements-browser.txt"
NEEDED = "needs a browser: script/browser gets one"  # what skipped tests say
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
GET_WITHIN_SECONDS = 240
# With a font: a bare image has none, and pages would have no letters.
PACKAGES = (NAMES[0], "fonts-dejavu-core")
DEBIAN = (["apt-get", "update", "-qq"], ["apt-get", "install", "-qq", "--no-install-recommends", *PACKAGES])


def main() -> int:
    install_extras(REQUIREMENTS)
    path = find_chromium()
    if not path:
        get_chromium()
        find_chromium.cache_clear()
        path = find_chromium()
    print(f"Chromium: {path or 'not available here; the tests that need it are skipped'}")
    return 0 if path else 1


@cache
def find_chromium() -> str | None:
    """The path of a Chromium that starts, the system's before Playwright's; None without one, or without Playwright."""
    os.environ.setdefault("PLAYWRIGHT_BROWSERS_PATH", str(VENV / "browsers"))  # goes with .venv
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        for path in filter(None, [*map(shutil.which, NAMES), own]):
            try:
                playwright.chromium.launch(executable_path=path).close()
            except Error as error:
                if path != own:
                    say(f"{path} does not start: {str(error).splitlines()[0]}")
            else:
                return path
    return None


def get_chromium() -> None:
    """Tries apt, then Playwright; each command has GET_WITHIN_SECONDS."""
    as_root_on_debian = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")
    if as_root_on_debian and all(works(command) for command in DEBIAN):
        return
    with_libraries = ["--with-deps"] if as_root_on_debian else []
    works([sys.executable, "-m", "playwright", "install", "--only-shell", *with_libraries, "chromium"])


def works(command: list[str]) -> bool:
    say(" ".join(command))
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        return (
            subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, timeout=GET_WITHIN_SECONDS).returncode
            == 0
        )
    except subprocess.TimeoutExpired:
        say(f"not done within {GET_WITHIN_SECONDS} seconds")
        return False


if __name__ == "__main__":
    sys.exit(main())
