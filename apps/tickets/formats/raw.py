"""Raw files of cameras. Most are TIFFs whose first directory is a small preview: taken for photos, they would be stored
as that.

A raw file is told by the sensor's own data within it, and not by make, model and sub-directories: scans and the files
of photo editors have these, too.
"""

from .directory import Entry, Layout, integer_of, read_entries
from .reader import HeaderReader, NotAPhotoError

SIGNATURE_BYTES = 20
OTHER_RAWS = (
    b"FUJIFILMCCD-RAW",
    *(b"IIRO", b"IIRS", b"MMOR"),  # Olympus
    b"IIU\x00",  # Panasonic and Leica
    b"FOVb",  # Sigma
    b"\x00MRM",  # Minolta
)
CANON_CR3 = b"ftypcrx "
CANON_CRW = b"HEAPCCDR"
# Behind the header of a TIFF: Canon's CR2, Canon's older TIFs from EOS-1D.
CANON_TIFFS = (b"CR\x02\x00", b"\xba\xb0\xac\xbb")
PHASE_ONE = (b"IIII", b"MMMM")

SUBFILE_TYPE, COMPRESSION, PHOTOMETRIC, MAKE, SUB_DIRECTORIES = 254, 259, 262, 271, 330
# CFARepeatPatternDim and CFAPattern of TIFF/EP, DNGVersion.
RAW_TAGS = frozenset({33421, 33422, 50706})
# Colour filter array, linear raw.
RAW_PHOTOMETRICS = frozenset({32803, 34892})
# Of Sony, Epson, Samsung, Kodak, Nikon, Pentax; no other program writes them.
RAW_COMPRESSIONS = frozenset({32767, 32769, 32770, 32772, 32867, 34713, 65000, 65535})
REDUCED = 1
MAX_SUB_DIRECTORIES = 8
MAX_NEXT_DIRECTORIES = 3


def has_raw_signature(first_bytes: bytes) -> bool:
    """Returns whether these are the first 20 bytes of a raw format that they are enough to tell."""
    return (
        first_bytes.startswith(OTHER_RAWS)
        or first_bytes[4:12] == CANON_CR3
        or first_bytes[6:14] == CANON_CRW
        or (first_bytes[8:12] in CANON_TIFFS and first_bytes[:4] in (b"II*\x00", b"MM\x00*"))
        or (first_bytes[8:12] in PHASE_ONE and (b"waR" in first_bytes[12:16] or b"Raw" in first_bytes[12:16]))
    )


def is_raw_tiff(file: HeaderReader, layout: Layout, directory: int, entries: list[Entry]) -> bool:
    """Returns whether a TIFF with this first directory is a raw file, as far as its other directories can be read."""
    if has_sensor_data(entries, layout):
        return True
    made_by_camera = any(entry.tag == MAKE for entry in entries)
    pointers = next((entry for entry in entries if entry.tag == SUB_DIRECTORIES), None)
    if pointers and made_by_camera and is_reduced(entries, layout):
        return True
    try:
        if pointers and any(
            has_sensor_data(read_entries(file, layout, each, end=file.size), layout)
            for each in offsets(file, layout, pointers)
        ):
            return True
        return made_by_camera and any(
            has_sensor_data(each, layout) for each in next_directories(file, layout, directory, len(entries))
        )
    except NotAPhotoError:
        return False


def has_sensor_data(entries: list[Entry], layout: Layout) -> bool:
    return any(
        entry.tag in RAW_TAGS
        or (entry.tag == PHOTOMETRIC and integer_of(entry, layout) in RAW_PHOTOMETRICS)
        or (entry.tag == COMPRESSION and integer_of(entry, layout) in RAW_COMPRESSIONS)
        for entry in entries
    )


def is_reduced(entries: list[Entry], layout: Layout) -> bool:
    """Returns whether the directory calls itself a smaller version of another image in the file."""
    return any(entry.tag == SUBFILE_TYPE and (integer_of(entry, layout) or 0) & REDUCED for entry in entries)


def offsets(file: HeaderReader, layout: Layout, pointers: Entry) -> list[int]:
    """Returns where the first few sub-directories are."""
    length = layout.pointer_bytes
    number = min(pointers.count, MAX_SUB_DIRECTORIES)
    if pointers.count > 1:
        listed = file.take(int.from_bytes(pointers.value, layout.byteorder), number * length)
    else:
        listed = pointers.value
    return [int.from_bytes(listed[at : at + length], layout.byteorder) for at in range(0, number * length, length)]


def next_directories(file: HeaderReader, layout: Layout, directory: int, count: int):
    """Yields the entries of the few directories (pages) that follow the first, which has `count` entries."""
    for _ in range(MAX_NEXT_DIRECTORIES):
        pointer_at = directory + layout.count_bytes + count * layout.entry_bytes
        directory = file.uint(pointer_at, layout.pointer_bytes, layout.byteorder)
        if not directory:
            return
        entries = read_entries(file, layout, directory, end=file.size)
        count = len(entries)
        yield entries
