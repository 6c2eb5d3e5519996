"""Programs and libraries from npm, each set of them in a folder of its own in var/."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from script.install import ROOT, say


class NoNode(Exception):
    """Node.js is not installed; the text says what to do."""


def ensure(children, folder: Path, packages: Mapping[str, str], *, oldest_node: str) -> None:
    """Installs these versions of the packages into `folder`; does nothing when they are there. `children`: as those of
    script/servers.py. Raises NoNode.
    """
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise NoNode(f"There is no {program} on PATH: it takes Node.js {oldest_node} or newer, https://nodejs.org/")
    if all(installed_version(folder, name) == version for name, version in packages.items()):
        return
    wanted = [f"{name}@{version}" for name, version in packages.items()]
    say(f"Installing {' and '.join(wanted)} into {folder.relative_to(ROOT)}")
    folder.mkdir(parents=True, exist_ok=True)
    install = ["npm", "install", f"--prefix={folder}", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"]
    children.run("npm", [*install, *wanted], cwd=folder)


def installed_version(folder: Path, name: str) -> str | None:
    package = folder / "node_modules" / name / "package.json"
    return json.loads(package.read_text())["version"] if package.exists() else None
