"""The packages that hopla runs with. `script/lock` writes requirements.lock, with the hashes of every file that pip may
fetch for them; `script/audit` lists those with known vulnerabilities.

Both install their tool into a temporary folder, as nothing else needs it.
"""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
HEADER = "# Made from requirements.txt by script/lock: run it again whenever that changes.\n"
UV, PIP_AUDIT = "uv==0.13.8", "pip-audit==2.10.1"
OLDEST_PYTHON = "3.10"


class NotInstalled(Exception):
    """pip could not fetch a tool; the text has its last line."""


def lock() -> None:
    """Writes requirements.lock: the pins of requirements.txt for every Python and platform, and nothing else."""
    options = ["--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes", "--no-strip-markers"]
    quiet = ["--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    with tool(UV) as (folder, environment):
        index = pip("config", "get", "global.index-url").stdout.strip()
        if index:
            environment["UV_DEFAULT_INDEX"] = index
        command = [folder / "bin" / "uv", "pip", "compile", ROOT / "requirements.txt", *options, *quiet]
        compiled = subprocess.run(command, env=environment, capture_output=True, text=True)
    if compiled.returncode != 0:
        sys.exit(compiled.stderr)
    LOCK.write_text(HEADER + compiled.stdout)


def audit() -> None:
    """Exits with 1 when a package has a known vulnerability. Packages without data are named, and are no failure."""
    try:
        with tool(PIP_AUDIT) as (_, environment):
            options = ["--requirement", LOCK, "--disable-pip", "--require-hashes", "--format", "json", "--timeout", "5"]
            command = [sys.executable, "-m", "pip_audit", *options, "--progress-spinner", "off"]
            audited = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    except (NotInstalled, subprocess.TimeoutExpired) as error:
        print(f"not checked: {error}")
        return
    try:
        packages = json.loads(audited.stdout)["dependencies"]
    except ValueError:
        print(f"not checked: {last_line(audited.stderr)}")
        return
    sys.exit(report(packages))


def report(packages: list[dict]) -> int:
    """Prints what pip-audit found, and returns the exit code: 1 for a vulnerability."""
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    vulnerable = [package for package in packages if package.get("vulns")]
    for package in vulnerable:
        for vulnerability in package["vulns"]:
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
            print(f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}")
    if unknown:
        print(f"not checked: {len(unknown)} of {len(packages)} packages, no data is available for them")
    print(f"{len(packages) - len(unknown)} packages checked, {len(vulnerable)} of them vulnerable")
    return int(bool(vulnerable))


@contextmanager
def tool(requirement: str):
    """A folder with that package, and an environment in which Python and the shell find it."""
    with tempfile.TemporaryDirectory(prefix="hopla-") as folder:
        installed = pip("install", "--quiet", "--retries=1", "--timeout=5", "--target", folder, requirement)
        if installed.returncode != 0:
            raise NotInstalled(f"{requirement} could not be installed: {last_line(installed.stderr)}")
        yield Path(folder), os.environ | {"PYTHONPATH": folder}


def pip(*arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run([sys.executable, "-m", "pip", *arguments], env=environment, capture_output=True, text=True)


def last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


if __name__ == "__main__":
    try:
        {"lock": lock, "audit": audit}[sys.argv[1]]()
    except NotInstalled as error:
        sys.exit(str(error))
