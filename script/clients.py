"""Installs clients of resumable uploads as users have them: tuspy into .venv, and into var/ those that npm has.

Tests that need what is not there are skipped.
"""

import shutil
import sys
from functools import cache
from pathlib import Path

from script.children import ChildFailed, Children, StopAsked
from script.install import ROOT, install_extras, requirements_hash, say

REQUIREMENTS = ROOT / "requirements-clients.txt"
NPM_FILES = ("package.json", "package-lock.json")
NPM_SOURCE = ROOT / "tests" / "clients"
FOLDER = ROOT / "var" / "clients"
MODULES = FOLDER / "node_modules"
STAMP = MODULES / "hopla-installed"
# What skipped tests say.
NEEDED = "needs clients of resumable uploads: script/clients gets them"
NODE_NEEDED = "needs Node.js, npm and clients of resumable uploads: script/clients gets the latter"


def main() -> int:
    install_extras(REQUIREMENTS)
    if not (shutil.which("node") and shutil.which("npm")):
        print("There is no Node.js with npm on PATH; the tests that need it are skipped.")
        return 0
    with Children() as children:
        install_npm_packages(children)
    print("Clients of resumable uploads are installed.")
    return 0


def install_npm_packages(children: Children) -> None:
    """What the lock file says, into var/; does nothing when it is there."""
    if has_npm_packages():
        return
    say(f"Installing the packages of {(NPM_SOURCE / NPM_FILES[0]).relative_to(ROOT)} into {FOLDER.relative_to(ROOT)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in NPM_FILES:
        shutil.copy(NPM_SOURCE / name, FOLDER / name)
    # What the packages would run when they are installed is not needed.
    install = ["npm", "ci", f"--prefix={FOLDER}", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    children.run("npm", install, cwd=FOLDER)
    STAMP.write_text(npm_hash())


def has_npm_packages() -> bool:
    return STAMP.exists() and STAMP.read_text() == npm_hash()


def npm_hash() -> str:
    return requirements_hash(NPM_SOURCE, NPM_FILES)


@cache
def find_node() -> Path | None:
    """The path of a Node.js, if the clients from npm are there for it."""
    path = shutil.which("node")
    return Path(path) if path and has_npm_packages() else None


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StopAsked as stop:
        sys.exit(stop.exit_code)
    except ChildFailed as error:
        sys.exit(f"script/clients: {error}")
