"""Child processes that live and die together: started, watched, and all ended with this process, however it ends.

Nothing here uses threads: the code that runs between fork and exec (see `_before_exec`) is only safe without them.
"""

import contextlib
import ctypes
import os
import pwd
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Collection
from pathlib import Path
from typing import IO

LINES_KEPT = 30
SECONDS_TO_STOP = 8
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h

libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class StopAsked(Exception):
    """SIGINT, SIGTERM or SIGHUP arrived; raised by the next wait."""

    def __init__(self, signal_number: int):
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


class ChildFailed(Exception):
    """A child ended that should not have, or did not start; the text names it and ends with its last output."""


class Child:
    """One process in a session of its own, so that a terminal's Ctrl-C reaches it only through us, in order."""

    def __init__(self, name, process, *, stop_signal, serves_others):
        self.name = name
        self.process = process
        self.stop_signal = stop_signal
        self.serves_others = serves_others
        self.last_lines = deque(maxlen=LINES_KEPT)
        self.unfinished_line = b""

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def failure(self, sentence: str) -> ChildFailed:
        output = "".join(f"    {line}\n" for line in self.last_lines)
        return ChildFailed(f"{self.name} {sentence}" + (f" Its last output:\n{output}" if output else ""))


class Children:
    """The processes of one command, as a context manager that ends them all on the way out.

    Waiting (`wait_until`, `watch`) raises StopAsked when a signal asked to stop and ChildFailed when a child died.
    """

    def __init__(self):
        self._children: list[Child] = []
        self._outputs = selectors.DefaultSelector()
        self._asked_to_stop: int | None = None
        self.echoes_output = False

    def __enter__(self):
        signal.signal(signal.SIGINT, self._remember_signal)
        signal.signal(signal.SIGTERM, self._remember_signal)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
            signal.signal(signal.SIGHUP, self._remember_signal)
        if libc:
            libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # a grandchild that outlives its parent becomes our child
        return self

    def __exit__(self, *exc_info):
        self.stop_all()

    def _remember_signal(self, number, frame):
        self._asked_to_stop = number

    def start(
        self,
        name: str,
        command: list,
        *,
        env: dict | None = None,
        cwd: Path | None = None,
        user: pwd.struct_passwd | None = None,
        stop_signal: int = signal.SIGTERM,
        serves_others: bool = False,
        keeps_terminal: bool = False,
        output_to: IO[bytes] | None = None,
    ) -> Child:
        """Starts a process. `serves_others`: ended after those that may still need it. `keeps_terminal`: writes
        straight to our output, `output_to`: to that file; otherwise its lines are kept and, once `echoes_output` is on,
        printed after its name."""
        self._raise_if_asked_to_stop()
        output = None if keeps_terminal else output_to or subprocess.PIPE
        process = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output and subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_before_exec(os.getpid(), user, stop_signal),
        )
        child = Child(name, process, stop_signal=stop_signal, serves_others=serves_others)
        self._children.append(child)
        if process.stdout:
            os.set_blocking(process.stdout.fileno(), False)
            self._outputs.register(process.stdout, selectors.EVENT_READ, child)
        return child

    def run(self, name: str, command: list, **options) -> None:
        """Runs a command to its end; ChildFailed when its exit code is not 0."""
        child = self.start(name, command, **options)
        if self.wait_for_end(child) != 0:
            raise child.failure(f"ended with {_ending(child.process.returncode)}.")

    def wait_until(self, condition, *, child: Child, timeout_seconds: float) -> None:
        """Returns once `condition()` is true; ChildFailed, naming `child`, when the time is up before that."""
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            if time.monotonic() > deadline:
                raise child.failure(f"was not ready within {timeout_seconds:g} seconds.")
            self.watch(seconds=0.05)

    def wait_for_end(self, *ending: Child, meanwhile=lambda: None) -> int:
        """Returns once these children have ended, with the last one's exit code; the others must outlive them.
        `meanwhile` is called several times a second."""
        while any(child.is_alive() for child in ending):
            self.watch(seconds=0.2, may_end=ending)
            meanwhile()
        self._read_output(seconds=0)
        for child in ending:
            self._children.remove(child)
            _end_group(child)
        return ending[-1].process.returncode

    def watch(self, *, seconds: float, may_end: Collection[Child] = ()) -> None:
        """Reads what the children print, for at most `seconds`; then checks that all are alive."""
        self._read_output(seconds=seconds)
        self._raise_if_asked_to_stop()
        for child in self._children:
            if child not in may_end and not child.is_alive():
                self._read_output(seconds=0)
                raise child.failure(f"ended with {_ending(child.process.returncode)}.")

    def _raise_if_asked_to_stop(self):
        if self._asked_to_stop is not None:
            raise StopAsked(self._asked_to_stop)

    def _read_output(self, *, seconds: float) -> None:
        if not self._outputs.get_map():
            time.sleep(seconds)
            return
        for key, _ in self._outputs.select(seconds):
            child, stream = key.data, key.fileobj
            data = os.read(stream.fileno(), 65536)
            if not data:
                self._outputs.unregister(stream)
                stream.close()
            *lines, child.unfinished_line = (child.unfinished_line + data).split(b"\n")
            for line in lines:
                self._take_line(child, line.decode(errors="replace"))

    def _take_line(self, child: Child, line: str) -> None:
        child.last_lines.append(line)
        if self.echoes_output:
            # A reader that has exited (`script/server | head`) is no reason to leave the children's pipes full.
            with contextlib.suppress(BrokenPipeError):
                print(f"{child.name:>8} | {line}", flush=True)

    def stop_all(self) -> None:
        """Ends every child and what they started: first those that use the others, then the others."""
        for serves_others in (False, True):
            children = [child for child in self._children if child.serves_others is serves_others]
            for child in children:
                if child.is_alive():
                    child.process.send_signal(child.stop_signal)
            deadline = time.monotonic() + SECONDS_TO_STOP
            while any(child.is_alive() for child in children) and time.monotonic() < deadline:
                self._read_output(seconds=0.05)
            for child in children:
                _end_group(child)
        self._children.clear()
        _end_orphans()


def _before_exec(parent_pid: int, user: pwd.struct_passwd | None, death_signal: int):
    def run():
        if user:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        if libc:  # after setuid, which would clear it: should we be killed outright, the kernel ends the child
            libc.prctl(PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent_pid:
                os._exit(1)

    return run


def _end_group(child: Child) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, signal.SIGKILL)
    child.process.wait()


def _end_orphans() -> None:
    """Ends grandchildren that left their parent's session; only Linux makes them our children (see `__enter__`)."""
    listing = Path(f"/proc/self/task/{os.getpid()}/children")
    while listing.exists() and (pids := listing.read_text().split()):
        for pid in map(int, pids):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _ending(return_code: int) -> str:
    return f"exit code {return_code}" if return_code >= 0 else f"signal {signal.Signals(-return_code).name}"
