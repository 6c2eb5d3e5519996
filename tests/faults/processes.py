"""Real processes for tests to kill, freeze and start again: hopla's own, and the servers that it needs."""

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS_TO_STOP = 10
STARTS_WITHIN_SECONDS = 240  # only what hangs takes longer, however busy the machine
LINES_SHOWN = 40


class NotReadyError(Exception):
    """A process ended or stayed silent where it was expected to come up; the text ends with its last output."""


class Process:
    """A command that can be killed and restarted. It runs in a session of its own, so that all it starts go with it.

    Its output goes to a file, of which `output` is the text.
    """

    def __init__(self, name: str, command: list, *, log: Path, stop_signal=signal.SIGTERM, **options):
        self.name = name
        self.stop_signal = stop_signal
        self._command = [str(word) for word in command]
        self._log = log
        self._options = options  # env, cwd, user …, as subprocess.Popen takes them
        self._running: subprocess.Popen | None = None

    def start(self) -> "Process":
        with self._log.open("ab") as output:
            self._running = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._options,
            )
        return self

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def is_alive(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def children(self) -> list[int]:
        """The pids of the processes it has started itself, the oldest first."""
        listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        pairs = (map(int, line.split()) for line in listing.splitlines())
        return sorted(pid for pid, parent in pairs if parent == self.pid)

    def wait(self, timeout_seconds: float = SECONDS_TO_STOP) -> int:
        return self._running.wait(timeout_seconds)

    def kill(self) -> None:
        """SIGKILL to it and all it has started: nothing of it gets to say goodbye."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._running.wait()

    def freeze(self) -> None:
        """It keeps its connections and does not respond, until `thaw`."""
        os.killpg(self.pid, signal.SIGSTOP)
        # Until then some of its threads may go on: the signal waits until the main one gets CPU time.
        os.waitpid(self.pid, os.WUNTRACED)

    def thaw(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Ask it to end, and kill what is left of it after a while."""
        if self.is_alive():
            self._running.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait()
        if self._running is not None:
            self.kill()

    def failure(self, sentence: str) -> NotReadyError:
        lines = "\n".join(f"    {line}" for line in self.output.splitlines()[-LINES_SHOWN:])
        return NotReadyError(f"{self.name} {sentence} Its last output:\n{lines}")


class Processes:
    """The processes of one test or bench, ended in reverse order on the way out.

    `start`, `run` and `wait_until` are what script/servers.py asks of its `children`.
    """

    def __init__(self, folder: Path):
        self.folder = folder  # takes their output
        self._started: list[Process] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *exc_info) -> None:
        for process in reversed(self._started):
            process.stop()

    def __getitem__(self, name: str) -> Process:
        """The last one started under this name."""
        return next(process for process in reversed(self._started) if process.name == name)

    def start(
        self,
        name: str,
        command: list,
        *,
        env: dict | None = None,
        cwd: Path = ROOT,
        user: pwd.struct_passwd | None = None,
        stop_signal: int = signal.SIGTERM,
        serves_others: bool = False,
    ) -> Process:
        options = {"env": env, "cwd": cwd}
        if user:
            options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        log = self.folder / f"{len(self._started)}-{name}.log"
        process = Process(name, command, log=log, stop_signal=stop_signal, **options)
        self._started.append(process)
        return process.start()

    def run(self, name: str, command: list, **options) -> None:
        """Run a command to its end. Raises NotReadyError when it fails."""
        process = self.start(name, command, **options)
        if process.wait(timeout_seconds=STARTS_WITHIN_SECONDS) != 0:
            raise process.failure("failed.")

    def manage(self, *arguments: str, env: dict, name: str | None = None) -> Process:
        return self.start(name or arguments[0], [sys.executable, "manage.py", *arguments], env=env)

    def wait_until(self, condition, *, child: Process, timeout_seconds: float = STARTS_WITHIN_SECONDS) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            if not child.is_alive():
                raise child.failure("ended.")
            if time.monotonic() > deadline:
                raise child.failure(f"was not ready within {timeout_seconds:g} seconds.")
            time.sleep(0.02)
