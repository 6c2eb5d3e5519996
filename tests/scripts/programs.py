"""Runs small programs that use script/ as it is meant to be used: as the main program of a process of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path

from django.conf import settings

DEADLINE_SECONDS = 600  # only a program that hangs takes so long, however busy the machine


def start(program: str, *, environment: dict | None = None) -> subprocess.Popen:
    """`program` is Python source; its output, of both kinds, can be read from `stdout`."""
    return start_command([sys.executable, "-c", program], environment=environment)


def start_command(command: list, *, environment: dict | None = None, cwd: Path = settings.BASE_DIR) -> subprocess.Popen:
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=os.environ | (environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output_of(process: subprocess.Popen) -> str:
    """All that is left to read, up to the program's end."""
    return process.communicate(timeout=DEADLINE_SECONDS)[0]


def read_until(process: subprocess.Popen, text: str) -> str:
    """What the program prints up to the line that holds `text`, with it; AssertionError when it ends before that."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"ended without saying {text!r}:\n{''.join(lines)}")


def wait_until(condition) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain")
        time.sleep(0.02)


def pid_of_child(parent: int, word: str) -> int:
    """The pid of the one child of `parent` whose command line has `word` in it."""
    listing = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    [pid] = [int(pid) for pid, ppid, args in rows if int(ppid) == parent and word in args]
    return pid


def is_running(pid: int) -> bool:
    """False for a zombie too: it has ended, only its parent has not looked yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
