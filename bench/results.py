"""Figures as tables: on the terminal, and in bench/RESULTS.md, a section for each figure, written by the command."""

import os
import platform
import re
import statistics
import subprocess
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
PACKAGES = ("Django", "djangorestframework", "rq", "django-rq", "gunicorn", "redis", "psycopg", "cloudinary")
TITLE = """\
# Results

Written by `bench/run`, see [README.md](README.md). Each cell: the median, and the range over the rounds.
"""


@dataclass
class Table:
    """Values by row (what is measured, with its unit) and column (who), one value a round."""

    title: str
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, row: str, column: str, value: float) -> None:
        self.values.setdefault(row, {}).setdefault(column, []).append(value)

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def note_ratios(self, row: str, one: str, other: str) -> None:
        """Of each round by itself, which the load of the machine changes less than it does the values."""
        cells = self.values[row]
        ratios = ", ".join(f"{a / b:.2g}" for a, b in zip(cells[one], cells[other], strict=True))
        self.note(f"{row}, {one} / {other}, round by round: {ratios}.")

    def in_this_order(self, columns: list[str]) -> None:
        """These columns come first, whoever was measured first."""
        for row, cells in self.values.items():
            first = {name: cells[name] for name in columns if name in cells}
            self.values[row] = first | {name: cells[name] for name in cells if name not in first}

    def markdown(self) -> str:
        columns = list(dict.fromkeys(column for cells in self.values.values() for column in cells))
        first = columns[0]
        header = ["", *columns, *(f"{each} / {first}" for each in columns[1:])]
        lines = [header, ["---"] * len(header)]
        for row, cells in self.values.items():
            ratios = [_ratio(cells.get(first), cells.get(each)) for each in columns[1:]]
            lines.append([row, *(_cell(cells.get(each)) for each in columns), *ratios])
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join([f"### {self.title}", table, *self.notes]) + "\n"


def _cell(values: list[float] | None) -> str:
    if not values:
        return ""
    middle = _short(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({_short(min(values))} to {_short(max(values))})"


def _ratio(ones: list[float] | None, others: list[float] | None) -> str:
    if not ones or not others or not statistics.median(ones):
        return ""
    return f"{statistics.median(others) / statistics.median(ones):.2g}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def write(figure: str, story: str, tables: list[Table], *, command: str, load_before: str, servers_used: str) -> str:
    """Put this figure's section into RESULTS.md in place of its last one, and return it."""
    made = "\n".join(
        f"- {line}" for line in (f"`{command}`, {_now()}", _commit(), *_machine(load_before), servers_used)
    )
    section = "\n".join([f"## {figure}", "", story.strip(), "", made, "", *(table.markdown() for table in tables)])
    sections = _sections() | {figure: section}
    RESULTS.write_text("\n".join([TITLE, *(sections[name].rstrip() + "\n" for name in sorted(sections))]))
    return section


def _sections() -> dict[str, str]:
    if not RESULTS.exists():
        return {}
    parts = re.split(r"^(?=## )", RESULTS.read_text(), flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].removeprefix("## "): part for part in parts}


def _now() -> str:
    return f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"


def _commit() -> str:
    name = _output(["git", "describe", "--always", "--abbrev=10", "--exclude=*"])
    changed = _output(["git", "status", "--porcelain", "--untracked-files=no", "--", "apps", "hopla"])
    return f"commit {name}" + (" with changes not committed" if changed else "")


def _machine(load_before: str) -> list[str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return [
        f"{len(os.sched_getaffinity(0))} cores ({model[1] if model else platform.machine()}), {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}; load average before {load_before}, after {load_average()}",
        f"Python {platform.python_version()}, {packages}",
    ]


def load_average() -> str:
    """Over the last minute; on a machine that others use too, it says how reliable the figures are."""
    return f"{os.getloadavg()[0]:.1f}"


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, cwd=RESULTS.parent.parent).stdout.strip()
