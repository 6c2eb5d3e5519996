"""What a photo claims of itself by EXIF, in each format, honest or not."""

import itertools
import math
import random
import struct
from fractions import Fraction
from functools import partial

from django.test import SimpleTestCase
from PIL import Image

from apps.tickets.formats import NotAPhotoError, read_header
from apps.tickets.formats.claims import MAX_CAMERA_LENGTH, Claims
from apps.tickets.intake.photo_check import HEAD_BYTES
from tests.photographs import photographs

from .photo_files import (
    CAPTURED,
    EXIF,
    FRACTION,
    GPS,
    HEIC,
    HEIGHT,
    MAKE,
    MODEL,
    NOON,
    OFFSET,
    TIFF_SIZE,
    WIDTH,
    bmp,
    claiming_entries,
    ftyp,
    gif,
    irot,
    jpeg,
    jpeg_frame,
    meta,
    png,
    png_chunk,
    riff,
    riff_chunk,
    saved,
    segment,
    text_entry,
    tiff,
    tiny,
    vp8l,
    vp8x,
)

NOTHING = Claims(None, None, None)


def claims_in(data: bytes) -> Claims:
    return read_header(lambda offset, length: data[offset : offset + length], size=len(data)).claims


def at_hand(head: bytes, offset: int, length: int) -> bytes:
    return head[offset : offset + length]


def reads_of(data: bytes) -> int:
    reads = []

    def read_at(offset: int, length: int) -> bytes:
        reads.append(offset)
        return data[offset : offset + length]

    read_header(read_at, size=len(data))
    return len(reads)


def claims_of(**claimed) -> Claims:
    """Read from a JPEG with an EXIF of this."""
    order = claimed.pop("order", "<")
    return claims_in(with_exif(tiff(*claiming_entries(order, **claimed), order=order)))


def with_exif(exif: bytes) -> bytes:
    return jpeg(segment(0xE1, b"Exif\0\0" + exif), jpeg_frame())


ALL = Claims("2026-11-26T12:00:00.25+01:00", (52.2297, 21.0123), "Canon EOS 7D")


class EveryFormatTests(SimpleTestCase):
    def test_claims_are_read_in_every_format_that_has_exif_and_in_both_byte_orders(self):
        picture = Image.new("RGB", (WIDTH, HEIGHT))
        for order in "<>":
            data = tiff(*claiming_entries(order), order=order)
            for name, photo in {
                "jpeg": with_exif(data),
                "jpeg of pillow": saved(picture, "jpeg", exif=b"Exif\0\0" + data),
                "png": png(chunks=png_chunk(b"eXIf", data)),
                "png of pillow": saved(picture, "png", exif=data),
                "png, behind its pixels": tiny("png").replace(
                    png_chunk(b"IEND", b""), png_chunk(b"eXIf", data) + png_chunk(b"IEND", b"")
                ),
                "webp": riff(vp8x(WIDTH, HEIGHT, 8), vp8l(WIDTH, HEIGHT), riff_chunk(b"EXIF", data)),
                "webp of pillow": saved(picture, "webp", exif=data),
                "tiff": tiff(*claiming_entries(order), *TIFF_SIZE, order=order),
                "heic": HEIC + meta(exif=data),
                "heic that is turned": HEIC + meta(exif=data, properties=(irot(1),)),
                "avif": ftyp(b"avif", b"avif", b"mif1", b"miaf") + meta(item_kind=b"av01", exif=data),
            }.items():
                with self.subTest(name, order=order):
                    self.assertEqual(claims_in(photo), ALL)

    def test_what_pillow_writes(self):
        tags = Image.Exif()
        tags[MAKE], tags[MODEL] = "Canon", "EOS 7D"
        tags.get_ifd(EXIF).update({CAPTURED: NOON, OFFSET: "+01:00", FRACTION: "25"})
        seconds = (Fraction(4692, 100), Fraction(4428, 100))
        tags.get_ifd(GPS).update({1: "N", 2: (52, 13, seconds[0]), 3: "E", 4: (21, 0, seconds[1])})
        for format in ("jpeg", "png", "webp", "heic", "avif", "tiff"):
            with self.subTest(format):
                self.assertEqual(claims_in(saved(Image.new("RGB", (96, 64)), format, exif=tags.tobytes())), ALL)

    def test_bigtiff(self):
        make, model = b"Canon\0", b"EOS 7D\0"  # both lie in their entries
        table = b"".join(
            struct.pack("<HHQ8s", tag, kind, count, value)
            for tag, kind, count, value in (
                *((tag, kind, count, struct.pack("<Q", value)) for tag, kind, count, value in TIFF_SIZE),
                (MAKE, 2, len(make), make),
                (MODEL, 2, len(model), model),
            )
        )
        data = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 5) + table + bytes(8)
        self.assertEqual(claims_in(data), Claims(camera="Canon EOS 7D"))

    def test_what_has_no_exif_claims_nothing(self):
        for photo in (gif(9, 9), bmp(9, 9), tiny("jpeg"), tiny("png"), tiny("webp"), tiny("heic"), tiff(*TIFF_SIZE)):
            with self.subTest(photo[:12]):
                self.assertEqual(claims_in(photo), NOTHING)

    def test_exif_takes_one_read_however_it_jumps(self):
        makers_note = (37500, 7, 40_000, bytes(40_000))
        photo = with_exif(tiff(makers_note, *claiming_entries(), (*makers_note[:3], b"")))
        self.assertEqual(claims_in(photo), ALL)
        self.assertLessEqual(reads_of(photo), 3)


class RealPhotographTests(SimpleTestCase):
    def test_real_photographs_claim_what_pillow_reads(self):
        found = {"captured_at": 0, "location": 0, "camera": 0}
        for photograph in photographs():
            with self.subTest(photograph.name):
                claims = claims_in(photograph.read())
                with Image.open(photograph.path) as image:
                    tags = image.getexif()
                    exif, gps = tags.get_ifd(EXIF), tags.get_ifd(GPS)

                moment = exif.get(CAPTURED)
                if moment:
                    day, time = moment.split()
                    moment = f"{day.replace(':', '-')}T{time}"
                    moment += f".{exif[FRACTION]}" if FRACTION in exif else ""
                    moment += exif.get(OFFSET, "")
                self.assertEqual(claims.captured_at, moment)
                self.assertEqual(claims.location is not None, 2 in gps)
                for value, tag in zip(claims.location or (), (2, 4), strict=False):
                    whole, minutes, seconds = map(float, gps[tag])
                    self.assertAlmostEqual(value, whole + minutes / 60 + seconds / 3600, places=6)
                    self.assertIn(gps[tag - 1], "NE")
                names = [str(tags[tag]).rstrip("\0") for tag in (MAKE, MODEL) if tag in tags]
                self.assertIn(claims.camera, (" ".join(names) or None, *names[1:]))
                for name, value in claims._asdict().items():
                    found[name] += value is not None
        self.assertEqual(found, {"captured_at": 9, "location": 2, "camera": 9})

    def test_of_what_cameras_write_the_first_bytes_are_enough(self):
        # Those are at hand when a photo has come; for others Redis is asked.
        for photograph in photographs():
            if photograph.format in ("jpeg", "heic"):
                with self.subTest(photograph.name):
                    content = photograph.read()
                    head = partial(at_hand, content[:HEAD_BYTES])
                    claims = read_header(head, size=len(content)).claims
                    self.assertEqual(claims, claims_in(content))
                    self.assertNotEqual(claims, NOTHING)


class CapturedAtTests(SimpleTestCase):
    def assertCaptured(self, expected: str | None, **claimed):
        self.assertEqual(claims_of(**claimed).captured_at, expected)
        self.assertEqual(claims_of(**claimed).camera, ALL.camera)  # one bad claim costs no other

    def test_without_an_offset_it_is_local_time_without_a_zone(self):
        self.assertCaptured("2026-11-26T12:00:00", offset=None, fraction=None)

    def test_offsets(self):
        for offset, shown in {
            "+01:00": "+01:00", "-09:30": "-09:30", "+14:00": "+14:00", "+05:45": "+05:45",
            "+00:00": "Z", "-00:00": "Z", "Z": "Z", "+02:00 ": "+02:00",
            "": "", "   :  ": "", "+2": "", "+25:00": "", "+14:30": "", "+01:60": "", "CET": "",
            "+\u0660\u0661:\u0660\u0660": "",
        }.items():  # fmt: skip
            with self.subTest(offset):
                self.assertCaptured(f"2026-11-26T12:00:00{shown}", offset=offset, fraction=None)

    def test_fractions_of_a_second(self):
        for fraction, shown in {
            "5": ".5", "045": ".045", "123456": ".123456", "1234567890": ".123456", "25  ": ".25", "00": ".00",
            "": "", "   ": "", "-1": "", "1.5": "", "x": "", "\u00b2": "", "\u0663": "",
        }.items():  # fmt: skip
            with self.subTest(fraction):
                self.assertCaptured(f"2026-11-26T12:00:00{shown}", offset=None, fraction=fraction)

    def test_other_spellings(self):
        for moment in ("2026-11-26 12:00:00", "2026/11/26 12:00:00", "2026:11:26T12:00:00", " 2026:11:26 12:00:00 "):
            with self.subTest(moment):
                self.assertCaptured("2026-11-26T12:00:00", captured=moment, offset=None, fraction=None)

    def test_moments_that_are_none(self):
        for moment in (
            "0000:00:00 00:00:00", "    :  :     :  :  ", "2026:02:29 12:00:00", "2026:13:01 12:00:00",
            "2026:11:26 24:00:00", "2026:11:26 12:00:60", "0001:01:01 00:00:00", "1825:12:31 23:59:59",
            "2026:11:26", "2026:11:26 12:00", "12:00:00 2026:11:26",
            "\u0662\u0660\u0662\u0666:11:26 12:00:00", "2026:11:26 12:00:00junk",
            "", "\0", "junk", "9" * 5000, "<script>", b"\xff\xfe\x00",
        ):  # fmt: skip
            with self.subTest(moment):
                self.assertCaptured(None, captured=moment)
        self.assertCaptured(None, captured=None)

    def test_the_years_at_the_edges(self):
        for year in ("1826", "9999"):
            self.assertCaptured(f"{year}-12-31T23:59:59.25Z", captured=f"{year}:12:31 23:59:59", offset="Z")

    def test_the_time_of_a_later_change_is_no_time_of_capture(self):
        changed = text_entry(306, "2020:01:01 10:00:00", "<")
        self.assertCaptured(None, captured=None, more=(changed,))


class LocationTests(SimpleTestCase):
    def test_hemispheres(self):
        for (ref_1, sign_1), (ref_2, sign_2) in itertools.product(
            (("N", 1), ("S", -1), ("s", -1), ("South", -1)), (("E", 1), ("W", -1), ("w", -1), ("West", -1))
        ):
            for order in "<>":
                with self.subTest(ref_1 + ref_2, order=order):
                    found = claims_of(latitude_ref=ref_1, longitude_ref=ref_2, order=order).location
                    self.assertEqual(found, (sign_1 * 52.2297, sign_2 * 21.0123))

    def test_degrees_minutes_and_seconds_may_each_have_a_fraction(self):
        for parts in (
            ((522297, 10000), (0, 1), (0, 1)),
            ((52, 1), (13782, 1000), (0, 1)),
            ((52, 1), (13, 1), (4692, 100)),
            ((4294967295, 4294967295 // 52), (13, 1), (4692, 100)),
        ):
            with self.subTest(parts):
                self.assertAlmostEqual(claims_of(latitude=parts).location[0], 52.2297, places=5)

    def test_signed_fractions_pass(self):
        self.assertEqual(claims_of(kind=10).location, ALL.location)

    def test_the_edges_of_the_world(self):
        for latitude, longitude, place in (
            (((90, 1), (0, 1), (0, 1)), ((180, 1), (0, 1), (0, 1)), (90, 180)),
            (((0, 1), (0, 1), (0, 1)), ((7, 1), (0, 1), (0, 1)), (0, 7)),
            (((7, 1), (59, 1), (60, 1)), ((0, 1), (0, 1), (0, 1)), (8, 0)),
        ):
            with self.subTest(place):
                found = claims_of(latitude=latitude, longitude=longitude, latitude_ref="S", longitude_ref="W").location
                self.assertEqual(found, tuple(-value for value in place))
                self.assertNotIn("-0.0", str(found))

    def test_places_that_are_none(self):
        zero, fine = ((0, 1), (0, 1), (0, 1)), ((7, 1), (7, 1), (7, 1))
        for name, claimed in {
            "no hemisphere of latitude": {"latitude_ref": None},
            "no hemisphere of longitude": {"longitude_ref": None},
            "empty hemisphere": {"latitude_ref": ""},
            "hemispheres exchanged": {"latitude_ref": "E", "longitude_ref": "N"},
            "strange hemisphere": {"latitude_ref": b"\xff"},
            "no latitude": {"latitude": None},
            "no longitude": {"longitude": None},
            "nothing found": {"latitude": zero, "longitude": zero},
            "no denominators": {"latitude": ((0, 0),) * 3},
            "infinite": {"latitude": ((1, 0), (0, 1), (0, 1))},
            "no denominator of seconds": {"latitude": ((7, 1), (7, 1), (0, 0))},
            "beyond the pole": {"latitude": ((90, 1), (0, 1), (1, 1))},
            "beyond the date line": {"longitude": ((180, 1), (1, 1), (0, 1))},
            "far beyond": {"longitude": ((4294967295, 1), (0, 1), (0, 1))},
            "61 minutes": {"latitude": ((7, 1), (61, 1), (0, 1))},
            "61 seconds": {"latitude": ((7, 1), (7, 1), (61, 1))},
            "two fractions": {"latitude": fine[:2]},
            "four fractions": {"latitude": (*fine, (7, 1))},
            "negative": {"latitude": ((-7, 1), (7, 1), (7, 1)), "kind": 10},
            "negative below": {"latitude": ((7, 1), (-7, 1), (7, 1)), "kind": 10},
        }.items():
            with self.subTest(name):
                claims = claims_of(**claimed)
                self.assertIsNone(claims.location)
                self.assertEqual((claims.captured_at, claims.camera), (ALL.captured_at, ALL.camera))

    def test_numbers_of_another_kind_are_no_fractions(self):
        # 11 and 12 are floats, which can be NaN.
        for kind in (1, 2, 3, 4, 7, 11, 12, 0, 65535):
            with self.subTest(kind):
                for content in (b"\x7f\xc0\x00\x00" * 6, b"\xff" * 24):
                    gps = [
                        text_entry(1, "N", ">"),
                        text_entry(3, "E", ">"),
                        (2, kind, 3, content),
                        (4, kind, 3, content),
                    ]
                    data = tiff((GPS, 4, 1, [gps]), order=">")
                    self.assertEqual(claims_in(with_exif(data)), NOTHING)


class CameraTests(SimpleTestCase):
    def test_make_and_model_are_joined_sensibly(self):
        for make, model, shown in (
            ("Apple", "iPhone 13 Pro", "Apple iPhone 13 Pro"),
            ("Canon", "Canon EOS 7D", "Canon EOS 7D"),
            ("NIKON CORPORATION", "NIKON D750", "NIKON D750"),
            ("samsung", "SAMSUNG SM-G900F", "SAMSUNG SM-G900F"),
            ("Canon", None, "Canon"),
            (None, "EOS 7D", "EOS 7D"),
            ("Canon", "", "Canon"),
            ("", "EOS 7D", "EOS 7D"),
            ("Canon  ", "  EOS \t 7D ", "Canon EOS 7D"),
            ("LG", "LGM-V300", "LG LGM-V300"),
            (None, None, None),
            ("  ", "\0\0", None),
        ):
            with self.subTest(make=make, model=model):
                self.assertEqual(claims_of(make=make, model=model).camera, shown)

    def test_only_what_is_printable_is_left_and_no_more_than_there_is_room_for(self):
        for make, shown in {
            "Ca\nnon\x1b[31m": "Ca non [31m",
            "Żółw": "Żółw",
            b"Can\xffon": "Canon",
            "x\u202ey\u2028z\ufeff": "x y z",
            "Canon\0hidden": "Canon",
        }.items():
            with self.subTest(make):
                self.assertEqual(claims_of(make=make, model=None).camera, shown)
        for endless in ("Ż" * 5000, "x" * 5000, "x " * 2000):
            camera = claims_of(make=endless, model=endless[::-1]).camera
            self.assertLessEqual(len(camera), MAX_CAMERA_LENGTH)
            self.assertTrue(camera.isprintable() and camera == camera.strip())

    def test_text_without_a_nul_ends_with_its_count(self):
        data = tiff(text_entry(MAKE, "Canonical", "<", count=5), order="<")
        self.assertEqual(claims_in(with_exif(data)).camera, "Canon")


class HostileTests(SimpleTestCase):
    def test_counts_and_places_beyond_the_end_claim_nothing(self):
        for name, entry in {
            "endless text": (MAKE, 2, 2**32 - 1, 2**32 - 1),
            "text of no length": (MAKE, 2, 0, 0),
            "text far away": (MAKE, 2, 9, 2**31),
            "text of another kind": (MAKE, 7, 3, 0),
            "directory far away": (EXIF, 4, 1, 2**32 - 1),
            "directory at the start": (GPS, 4, 1, 0),
            "directory that is a text": (EXIF, 2, 1, 8),
            "directory within itself": (EXIF, 4, 1, 8),
            "many directories": (GPS, 4, 9, 8),
        }.items():
            with self.subTest(name):
                for data in (with_exif(tiff(entry)), tiff(entry, *TIFF_SIZE)):
                    self.assertEqual(claims_in(data), NOTHING)

    def test_exif_that_jumps_takes_nothing_of_the_reads_that_a_photo_has(self):
        note = (37500, 7, 15_000, bytes(15_000))
        jumping = tiff(note, *claiming_entries(make=None), note, text_entry(MAKE, "Canon", "<"))
        others = [segment(0xE2, bytes(65_000))] * 100
        reads = [
            reads_of(jpeg(*first, *others, jpeg_frame())) for first in ((), (segment(0xE1, b"Exif\0\0" + jumping),))
        ]
        self.assertLessEqual(reads[1], reads[0] + 2)

    def test_every_truncation_passes_that_passed_without_exif(self):
        data = tiff(*claiming_entries())
        for length in range(len(data)):
            claims = claims_in(with_exif(data[:length]))
            for claimed, whole in zip(claims, ALL, strict=True):
                if claimed != whole and claimed is not None:
                    # Parts of what it claims: an offset or a fraction may be cut off, and model or make.
                    self.assertNotIsInstance(claimed, tuple)
                    self.assertTrue(claimed in ("Canon", "EOS 7D") or claimed.startswith("2026-11-26T12:00:00"))

    def test_ten_thousand_mutations_are_taken_and_claim_nothing_impossible(self):
        dice = random.Random(20261126)
        whole = {order: tiff(*claiming_entries(order), order=order) for order in "<>"}
        claimed = 0
        for _ in range(10_000):
            data = bytearray(whole[dice.choice("<>")])
            for _ in range(dice.randint(1, 4)):
                at = dice.randrange(8, len(data))
                data[at : at + dice.choice((1, 2, 4))] = dice.choice(
                    (b"\xff\xff", b"\0\0\0\0", b"\x7f", b"\x80", dice.randbytes(3), b"\x00\x05")
                )
            try:
                claims = claims_in(with_exif(bytes(data)))
            except NotAPhotoError as refusal:
                self.fail(f"{refusal}: {bytes(data)!r}")
            claimed += claims != NOTHING
            self.assertPlausible(claims)
        self.assertGreater(claimed, 1000)

    def assertPlausible(self, claims: Claims):
        if claims.captured_at is not None:
            self.assertRegex(claims.captured_at, r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?\Z")
        if claims.location is not None:
            latitude, longitude = claims.location
            self.assertTrue(-90 <= latitude <= 90 and -180 <= longitude <= 180)
            self.assertTrue(math.isfinite(latitude) and math.isfinite(longitude))
        if claims.camera is not None:
            self.assertTrue(claims.camera.isprintable() and 0 < len(claims.camera) <= MAX_CAMERA_LENGTH)
