"""Every image of two collections made to break decoders, past our reading of headers and, if asked, past a server.

    python -m tests.malformed_images
    python -m tests.malformed_images --url http://127.0.0.1:8000 --token … --ticket-size 100

A command, not part of the suite: it fetches the Pillow 11.3.0 source from PyPI (47 MB) and, where there is apt,
Debian's gdk-pixbuf-tests, once, into `var/malformed-images/`. It ends with 1 when reading a header raised anything but
NotAPhotoError, when the server answered 5xx, or when it took what the reading of its header refuses, or the reverse.
"""

# ruff: noqa: T201 (it prints what it found)

import argparse
import contextlib
import mimetypes
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import urllib3

from apps.tickets.formats import NotAPhotoError, read_header
from tests.photographs import SourcePackage, download_source

CACHE = Path(__file__).resolve().parent.parent / "var" / "malformed-images"
PILLOW = SourcePackage("pillow", "11.3.0", "3828ee7586cd0b2091b6209e5ad53e20d0649bbe87164a459d0676e035e8f523")
GDK_PIXBUF_TESTS = "gdk-pixbuf-tests"
# What the API may return for a photo by its header: accepted, too large in bytes, too large in pixels.
ANSWERS_TO_PHOTOS = {202, 413, 422}
ANSWERS_TO_OTHERS = {400, 413, 415}


def main() -> int:
    arguments = parsed_arguments()
    collections = {"pillow": pillow_images(), "gdk-pixbuf": gdk_pixbuf_images()}
    verdicts = {path: verdict_on(path) for paths in collections.values() for path in paths}
    print_table(collections, verdicts)
    wrong = [f"{path}: {verdict}" for path, verdict in verdicts.items() if verdict.startswith("error")]
    if arguments.url:
        server = Server(arguments.url, token=arguments.token, ticket_size=arguments.ticket_size)
        wrong += server.post_all(verdicts)
    print(*wrong, sep="\n")
    return 1 if wrong else 0


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--url", help="of a running hopla, without /api/v1/: every file is posted there as well")
    parser.add_argument("--token", help="of the user in whose tickets the photos shall go; required with --url")
    parser.add_argument("--ticket-size", type=int, default=100, help="how many photos each ticket declares (100)")
    arguments = parser.parse_args()
    if arguments.url and not arguments.token:
        parser.error("--url needs --token")
    return arguments


# --- Fetching ---


def pillow_images() -> list[Path]:
    with unpacked_once("pillow") as folder:
        if folder:
            with tarfile.open(download_source(PILLOW, folder)) as archive:
                images = [entry for entry in archive if entry.isfile() and "/Tests/images/" in entry.name]
                archive.extractall(folder / "unpacked", members=images, filter="data")
    return files_below(CACHE / "pillow")


def gdk_pixbuf_images() -> list[Path]:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        print(f"There is no apt here: Debian's {GDK_PIXBUF_TESTS} is left out.")
        return []
    with unpacked_once("gdk-pixbuf") as folder:
        if folder:
            # The setting spares root a warning that the download runs as root.
            command = ["apt-get", "--quiet=2", "-o", "APT::Sandbox::User=", "download", GDK_PIXBUF_TESTS]
            if subprocess.run(command, cwd=folder, check=False).returncode:
                sys.exit(f"apt-get could not download {GDK_PIXBUF_TESTS}; it may take an `apt-get update` first.")
            (package,) = folder.glob("*.deb")
            subprocess.run(["dpkg-deb", "--extract", package, folder / "unpacked"], check=True)
    return files_below(CACHE / "gdk-pixbuf")


@contextlib.contextmanager
def unpacked_once(name: str) -> Iterator[Path | None]:
    """A folder whose `unpacked` is kept under the name; None when that was done before."""
    if (CACHE / name).exists():
        yield None
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        yield Path(scratch)
        (Path(scratch) / "unpacked").rename(CACHE / name)


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


# --- Reading headers ---


def verdict_on(path: Path) -> str:
    """The format with its size, or "refused: …", or "error: …" for what must not happen."""
    data = path.read_bytes()
    try:
        header = read_header(lambda offset, length: data[offset : offset + length], size=len(data))
    except NotAPhotoError as refusal:
        return f"refused: {refusal}"
    except Exception as error:  # noqa: BLE001  (any at all is what this command is looking for)
        return f"error: {error!r}"
    return f"{header.format} {header.width} x {header.height}"


def print_table(collections: dict[str, list[Path]], verdicts: dict[Path, str]) -> None:
    counts = {name: Counter(row_of(verdicts[path]) for path in paths) for name, paths in collections.items()}
    rows = sorted(set().union(*counts.values()), key=lambda row: (":" in row, row))
    width = max(map(len, rows))
    print(f"{'verdict':{width}}", *(f"{name:>12}" for name in counts))
    for row in [*rows, "total"]:
        print(f"{row:{width}}", *(f"{count.total() if row == 'total' else count[row]:12}" for count in counts.values()))


def row_of(verdict: str) -> str:
    """Files taken are counted by format, others by reason."""
    return verdict if ":" in verdict else verdict.partition(" ")[0]


# --- Posting ---


class Server:
    """A running hopla, in as many tickets as it takes."""

    def __init__(self, url: str, *, token: str, ticket_size: int) -> None:
        self.api = url.rstrip("/") + "/api/v1/"
        self.headers = {"Authorization": f"Token {token}"}
        self.ticket_size = ticket_size
        self.places_left = 0
        self.images_url = ""
        self.http = urllib3.PoolManager(timeout=urllib3.Timeout(60), retries=False)

    def post_all(self, verdicts: dict[Path, str]) -> list[str]:
        """Posts every file and prints how often each status came; returns what was wrong, a line each."""
        statuses: Counter[int] = Counter()
        wrong = []
        for number, (path, verdict) in enumerate(verdicts.items()):
            status = self.post(path, as_form=number % 2 == 1)
            statuses[status] += 1
            if status not in (ANSWERS_TO_OTHERS if verdict.startswith("refused") else ANSWERS_TO_PHOTOS):
                wrong.append(f"{path}: {verdict}, and the server answered {status}")
        print("answers:", *(f"{count} x {status}" for status, count in sorted(statuses.items())))
        return wrong

    def post(self, path: Path, *, as_form: bool) -> int:
        """The status for one file, sent as multipart or bare; waits where the server asks to come back later."""
        if not self.places_left:
            self.open_ticket()
        body, headers = form(path) if as_form else bare(path)
        while True:
            answer = self.http.request("POST", self.images_url, body=body, headers=self.headers | headers)
            if answer.status != 429:
                break
            time.sleep(int(answer.headers["Retry-After"]))
        self.places_left -= answer.status == 202
        return answer.status

    def open_ticket(self) -> None:
        answer = self.http.request(
            "POST", self.api + "tickets/", json={"num_images": self.ticket_size}, headers=self.headers
        )
        if answer.status != 201:
            sys.exit(f"The server opened no ticket: {answer.status} {answer.data[:500]!r}")
        self.images_url = f"{self.api}tickets/{answer.json()['id']}/images/"
        self.places_left = self.ticket_size


def form(path: Path) -> tuple[bytes, dict[str, str]]:
    body, content_type = urllib3.encode_multipart_formdata(
        {"image": (path.name, path.read_bytes(), content_type_of(path))}
    )
    return body, {"Content-Type": content_type}


def bare(path: Path) -> tuple[bytes, dict[str, str]]:
    disposition = f"attachment; filename*=UTF-8''{quote(path.name)}"
    return path.read_bytes(), {"Content-Type": content_type_of(path), "Content-Disposition": disposition}


def content_type_of(path: Path) -> str:
    """An image's, whatever the file is: the server is to judge by content."""
    guess = mimetypes.guess_type(path.name)[0] or ""
    return guess if guess.startswith("image/") else "image/jpeg"


if __name__ == "__main__":
    sys.exit(main())
