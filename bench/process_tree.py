"""What a process and its descendants cost: CPU time, memory, bytes written to disks. Linux only (proc(5))."""

import os
import threading
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SAMPLE_EVERY_SECONDS = 0.1  # each sample reads all of /proc: more often, it would use much of a core


def tree(root: int) -> list[int]:
    """The pids of a process and its living descendants."""
    children = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        if fields := _fields(path):
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """Of the tree so far, the children that have ended (and were waited for) included."""
    ticks = 0
    for pid in tree(root):
        if fields := _fields(Path(f"/proc/{pid}/stat")):
            ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return ticks / TICKS_PER_SECOND


def resident_bytes(pids: list[int]) -> int:
    return sum(int(text.split()[1]) * PAGE_BYTES for pid in pids if (text := _read(Path(f"/proc/{pid}/statm"))))


def written_bytes(root: int) -> int:
    """What the living processes of the tree have written to disks, not to memory alone."""
    texts = (_read(Path(f"/proc/{pid}/io")) for pid in tree(root))
    return sum(int(text.partition("\nwrite_bytes: ")[2].split()[0]) for text in texts if text)


class PeakMemory:
    """As a context manager: how far the resident memory of a tree rose inside, in bytes (`before`, `peak`)."""

    def __init__(self, root: int):
        self._root = root
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self.before = self.peak = resident_bytes(tree(self._root))
        self._sampler.start()
        return self

    def __exit__(self, *exc_info) -> None:
        self._ended.set()
        self._sampler.join()

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY_SECONDS):
            self.peak = max(self.peak, resident_bytes(tree(self._root)))


def _fields(path: Path) -> list[str]:
    """Of /proc/<pid>/stat, from the state on: the name before it may hold anything. [] when the process is gone."""
    return _read(path).rpartition(")")[2].split()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
