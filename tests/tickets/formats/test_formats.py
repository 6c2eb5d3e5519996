"""What is a photo and what is none. The oracle is Pillow with pillow-heif, which share no code with what is tested."""

import base64
import contextlib
import io
import itertools
import random
import struct

from django.test import SimpleTestCase
from PIL import ExifTags, Image, ImageOps

from apps.tickets.formats import EncodedPhotoError, NotAPhotoError, PhotoHeader, RawFileError, read_header, sniff_format
from apps.tickets.formats.reader import MAX_READS
from tests.photographs import photographs

from .photo_files import (
    FORMATS,
    HEIC,
    HEIGHT,
    TIFF_SIZE,
    WIDTH,
    bmp,
    box,
    clap,
    exif,
    ftyp,
    full_box,
    gif,
    imir,
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
    tiff,
    tiny,
    vp8l,
    vp8x,
)

HTML = b"<html><head><title>Photo</title></head><body><script>alert(1)</script></body></html>" * 20


def header_of(data: bytes) -> PhotoHeader:
    return read_header(lambda offset, length: data[offset : offset + length], size=len(data))


def reads_of(data: bytes) -> list[int]:
    """How many bytes each read asked for, whatever the verdict."""
    reads = []

    def read_at(offset: int, length: int) -> bytes:
        reads.append(length)
        return data[offset : offset + length]

    with contextlib.suppress(NotAPhotoError):
        read_header(read_at, size=len(data))
    return reads


class RealPhotographTests(SimpleTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.photographs = photographs()

    def test_real_photographs_are_recognised_by_content_and_size(self):
        for photograph in self.photographs:
            with self.subTest(photograph.name):
                header = header_of(photograph.read())

                self.assertEqual(header.format, photograph.format)
                self.assertEqual((header.width, header.height), (photograph.width, photograph.height))

    def test_sizes_agree_with_pillow(self):
        for photograph in self.photographs:
            with self.subTest(photograph.name), Image.open(photograph.path) as image:
                header = header_of(photograph.read())

                self.assertEqual((header.width, header.height), size_as_seen(image))

    def test_photographs_that_are_stored_on_their_side_say_so(self):
        turned = {each.name: header_of(each.read()).orientation for each in self.photographs}

        self.assertEqual(turned["10_years_of_Wikipedia_by_Guillaume_Paumier.jpg"], 8)
        self.assertEqual(turned["guitar_cw90.hif"], 8)  # irot
        self.assertEqual(turned["arrow.heic"], 6)  # irot, and the same in EXIF
        self.assertEqual(turned["pug.heic"], 1)

    def test_first_bytes_already_tell_the_format(self):
        for photograph in self.photographs:
            with self.subTest(photograph.name):
                self.assertEqual(sniff_format(photograph.read()[:32]), photograph.format)

    def test_a_photograph_takes_few_and_small_reads(self):
        for photograph in self.photographs:
            with self.subTest(photograph.name):
                reads = reads_of(photograph.read())

                self.assertLessEqual(len(reads), 12)
                self.assertLessEqual(max(reads), 64 * 1024)  # the longest EXIF, read at once

    def test_every_format_but_bmp_is_among_the_photographs(self):
        self.assertEqual({photograph.format for photograph in self.photographs}, set(FORMATS) - {"bmp"})


def size_as_seen(image: Image.Image) -> tuple[int, int]:
    """That of `ImageOps.exif_transpose(image)`, which decodes all pixels."""
    lies_on_its_side = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    return image.size[::-1] if lies_on_its_side else image.size


class GeneratedPhotoTests(SimpleTestCase):
    def assertSize(self, data: bytes, width: int, height: int, format: str):
        header = header_of(data)
        self.assertEqual((header.format, header.width, header.height), (format, width, height))

    def test_every_format_is_recognised_with_its_content_type(self):
        for format in FORMATS:
            with self.subTest(format):
                header = header_of(tiny(format))

                self.assertEqual((header.width, header.height, header.pixels), (WIDTH, HEIGHT, WIDTH * HEIGHT))
                self.assertEqual((header.format, header.content_type), (format, f"image/{format}"))

    def test_every_variant_that_pillow_writes_is_recognised(self):
        for format, mode, options in (
            *(("jpeg", mode, options) for mode in ("L", "RGB", "CMYK") for options in ({}, {"progressive": True})),
            *(("png", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
            *(("gif", mode, {"interlace": interlace}) for mode in ("1", "L", "P") for interlace in (0, 1)),
            *(
                ("webp", mode, options)
                for mode in ("RGB", "RGBA")
                for options in ({}, {"lossless": True}, {"exif": b"Exif"})
            ),
            *(("tiff", mode, {}) for mode in ("1", "L", "RGB", "RGBA", "CMYK", "I;16", "F")),
            *(("tiff", "RGB", options) for options in ({"compression": "tiff_lzw"}, {"big_tiff": True})),
            *(("bmp", mode, {}) for mode in ("1", "L", "P", "RGB", "RGBA")),
            *((format, mode, {}) for format in ("heic", "avif") for mode in ("L", "RGB", "RGBA")),
        ):
            with self.subTest(format=format, mode=mode, **options):
                self.assertSize(saved(Image.new(mode, (131, 79)), format, **options), 131, 79, format)

    def test_an_animation_has_the_size_of_its_canvas(self):
        frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "green", "blue")]
        for format in ("png", "gif", "webp", "avif", "tiff"):
            with self.subTest(format):
                data = saved(frames[0], format, save_all=True, append_images=frames[1:])

                self.assertSize(data, WIDTH, HEIGHT, format)

    def test_the_pages_of_a_tiff_may_differ_and_the_first_counts(self):
        data = saved(Image.new("L", (40, 30)), "tiff", save_all=True, append_images=[Image.new("L", (400, 300))])

        self.assertSize(data, 40, 30, "tiff")

    def test_a_photo_cut_within_its_pixel_data_passes(self):
        noise = Image.effect_noise((WIDTH, HEIGHT), 90).convert("RGB")
        for format in FORMATS:
            with self.subTest(format):
                # Pillow writes a TIFF's directory ahead of its pixels, and every other header is ahead by nature.
                self.assertSize(saved(noise, format)[:-64], WIDTH, HEIGHT, format)

    def test_jpeg_frame_header_behind_a_megabyte_of_profiles_takes_a_read_each(self):
        data = jpeg(*[segment(0xE2, bytes(60_000))] * 17, jpeg_frame())

        self.assertSize(data, WIDTH, HEIGHT, "jpeg")
        self.assertLessEqual(len(reads_of(data)), 20)

    def test_jpeg_with_an_empty_comment_passes(self):
        self.assertSize(jpeg(segment(0xFE, b""), jpeg_frame()), WIDTH, HEIGHT, "jpeg")

    def test_jpeg_with_stray_and_fill_bytes_between_segments_passes(self):
        # As in Pillow's junk_jpeg_header.jpg, jpeg_ff00_header.jpg and photoshop-200dpi-broken.jpg.
        data = jpeg(segment(0xE0, b"JFIF\x00"), b"\x00junk\xff\x00\xff\xff\xff", jpeg_frame())

        self.assertSize(data, WIDTH, HEIGHT, "jpeg")

    def test_jpeg_with_a_marker_written_as_00_e1_passes(self):
        for length in (20_000, 60_000):
            with self.subTest(length):
                data = jpeg(
                    segment(0xE0, b"JFIF\x00"), b"\x00\xe1" + struct.pack(">H", length), bytes(length), jpeg_frame()
                )

                self.assertSize(data, WIDTH, HEIGHT, "jpeg")

    def test_jpeg_segment_that_is_longer_than_it_says_passes(self):
        for length in (0, 1, 2, 10):  # libjpeg takes those of no length, too
            for marker in (0xE0, 0xE1, 0xEF, 0xFE):
                with self.subTest(length=length, marker=marker):
                    data = jpeg(struct.pack(">BBH", 0xFF, marker, length), bytes(9_000), jpeg_frame())

                    self.assertSize(data, WIDTH, HEIGHT, "jpeg")

    def test_jpeg_markers_without_a_length_are_stepped_over(self):
        data = jpeg(b"\xff\x01", *(bytes([0xFF, 0xD0 + number]) for number in range(8)), jpeg_frame())

        self.assertSize(data, WIDTH, HEIGHT, "jpeg")

    def test_jpeg_with_megabytes_of_stray_bytes_takes_few_reads(self):
        for name, stray in {
            "zeros": b"\0",
            "fill bytes": b"\xff",
            "stuffed": b"\xff\x00",
            "restarts": b"\xff\xd0",
        }.items():
            with self.subTest(name):
                data = jpeg(segment(0xE0, b"JFIF\x00"), stray * (9_000_000 // len(stray)), jpeg_frame())

                self.assertSize(data, WIDTH, HEIGHT, "jpeg")
                reads = reads_of(data)
                self.assertLess(len(reads), 90)
                self.assertLessEqual(sum(reads), len(data) + len(reads) * 2)

    def test_gif_without_a_screen_size_has_that_of_its_first_frame(self):
        self.assertSize(gif(0, 0, frame=(0, 0, WIDTH, HEIGHT)), WIDTH, HEIGHT, "gif")

    def test_gif_frame_beyond_its_screen_widens_it(self):
        self.assertSize(gif(10, 10, frame=(90, 4, 6, 60)), WIDTH, HEIGHT, "gif")

    def test_gif_with_the_shortest_and_the_longest_codes_passes(self):
        for code_size in (1, 11):  # 11 as in max-codes.gif of gdk-pixbuf's GIF suite and Pillow's issue_2811.gif
            with self.subTest(code_size):
                self.assertSize(gif(WIDTH, HEIGHT, code_size=code_size), WIDTH, HEIGHT, "gif")

    def test_bmp_stored_from_the_top_has_a_positive_height(self):
        self.assertSize(bmp(WIDTH, -HEIGHT), WIDTH, HEIGHT, "bmp")

    def test_bmp_of_every_compression_passes(self):
        for compression in (0, 1, 2, 3, 6):
            with self.subTest(compression):
                self.assertSize(bmp(WIDTH, HEIGHT, compression=compression), WIDTH, HEIGHT, "bmp")

    def test_bmp_of_os2_passes(self):
        data = b"BM" + struct.pack("<IHHIIHHHH", 0, 0, 0, 26, 12, WIDTH, HEIGHT, 1, 24) + b"\x00" * 16

        self.assertSize(data, WIDTH, HEIGHT, "bmp")

    def test_tiff_of_either_byte_order_with_its_directory_at_the_end_passes(self):
        for order in "<>":
            with self.subTest(order):
                data = tiff(*TIFF_SIZE, order=order)
                pixels = bytes(300_000)
                data = data[:4] + struct.pack(order + "I", 8 + len(pixels)) + pixels + data[8:]

                self.assertSize(data, WIDTH, HEIGHT, "tiff")

    def test_heic_primary_item_counts_and_not_its_thumbnail(self):
        self.assertSize(HEIC + meta(sizes=((512, 512), (WIDTH, HEIGHT))), WIDTH, HEIGHT, "heic")

    def test_heic_in_tiles_has_the_size_of_the_grid(self):
        self.assertSize(HEIC + meta(item_kind=b"grid", associated=(3, 2)), WIDTH, HEIGHT, "heic")

    def test_heif_of_any_codec_is_told_by_its_primary_item(self):
        for item_kind, format in ((b"hvc1", "heic"), (b"av01", "avif")):
            with self.subTest(format):
                self.assertSize(ftyp(b"mif1", b"mif1", b"miaf") + meta(item_kind=item_kind), WIDTH, HEIGHT, format)

    def test_heif_with_long_box_lengths_passes(self):
        data = HEIC + struct.pack(">I4sQ", 1, b"free", 16) + meta()

        self.assertSize(data, WIDTH, HEIGHT, "heic")


class OrientationTests(SimpleTestCase):
    """Width and height are what a person sees; `orientation` says how the photo is stored, in EXIF's numbers."""

    def assertTurned(self, data: bytes, orientation: int):
        header = header_of(data)
        seen = (HEIGHT, WIDTH) if orientation > 4 else (WIDTH, HEIGHT)
        self.assertEqual((header.width, header.height, header.orientation), (*seen, orientation))
        self.assertEqual(header.pixels, WIDTH * HEIGHT)

    def test_exif_of_every_format_that_has_it(self):
        picture = Image.new("RGB", (WIDTH, HEIGHT))
        for orientation, order in itertools.product(range(1, 9), "<>"):
            data = exif(orientation, order=order)
            for name, photo in {
                "jpeg": saved(picture, "jpeg", exif=b"Exif\0\0" + data),
                "png": saved(picture, "png", exif=data),
                "webp": saved(picture, "webp", exif=data),
                "webp with the prefix of a JPEG": saved(picture, "webp", exif=b"Exif\0\0" + data),
                "tiff": tiff((274, 3, 1, orientation), *TIFF_SIZE, order=order),
                "heic": HEIC + meta(exif=data),
                "avif without the brand": ftyp(b"avif", b"avif", b"mif1") + meta(item_kind=b"av01", exif=data),
            }.items():
                with self.subTest(name, orientation=orientation, order=order):
                    self.assertTurned(photo, orientation)

    def test_what_pillow_turns_by_exif(self):
        picture = Image.effect_noise((WIDTH, HEIGHT), 9).convert("RGB")
        for format, orientation in itertools.product(("jpeg", "png", "webp", "tiff", "heic", "avif"), range(1, 9)):
            with self.subTest(format, orientation=orientation):
                tags = Image.Exif()
                tags[274] = orientation
                data = saved(picture, format, exif=tags.tobytes())

                self.assertTurned(data, orientation)
                with Image.open(io.BytesIO(data)) as image:
                    header = header_of(data)
                    self.assertEqual((header.width, header.height), ImageOps.exif_transpose(image).size)

    def test_exif_behind_the_pixels_of_a_png(self):
        end = png_chunk(b"IEND", b"")
        chunk = png_chunk(b"eXIf", exif(6))
        for padding in (0, 700_000):
            data = tiny("png").replace(end, png_chunk(b"IDAT", bytes(padding)) * 3 + chunk + end)
            with self.subTest(padding):
                self.assertTurned(data, 6)
                self.assertLess(len(reads_of(data)), 4)

    def test_first_exif_of_a_jpeg_counts(self):
        pieces = [segment(0xE1, prefix + data) for prefix, data in (
            (b"http://ns.adobe.com/xap/1.0/\0", b"<x/>"), (b"Exif\0\0", exif(6)), (b"Exif\0\0", exif(3))
        )]  # fmt: skip

        self.assertTurned(jpeg(*pieces, jpeg_frame()), 6)

    def test_exif_that_makes_no_sense_turns_nothing(self):
        for name, data in {
            "orientation 0": exif(0),
            "orientation 9": exif(9),
            "a text": exif(6, kind=2),
            "cut off": exif(6)[:15],
            "nothing": b"",
            "junk": b"junk" * 9,
            "directory far away": b"MM\x00*\xff\xff\xff\xf0" + bytes(20),
            "endless directory": b"MM\x00*\x00\x00\x00\x08\xff\xff" + bytes(20),
        }.items():
            for photo in (
                jpeg(segment(0xE1, b"Exif\0\0" + data), jpeg_frame()),
                png(chunks=png_chunk(b"eXIf", data)),
                riff(vp8x(WIDTH, HEIGHT, 8), vp8l(WIDTH, HEIGHT), riff_chunk(b"EXIF", data)),
                HEIC + meta(exif=data),
            ):
                with self.subTest(name, photo=photo[:12]):
                    self.assertTurned(photo, 1)

    def test_webp_that_is_cut_before_its_exif_passes(self):
        data = riff(vp8x(WIDTH, HEIGHT, 8), vp8l(WIDTH, HEIGHT), riff_chunk(b"EXIF", exif(6)))

        self.assertTurned(data, 6)
        self.assertTurned(data[:-40], 1)

    def test_webp_animation_of_many_frames_passes(self):
        frame = riff_chunk(b"ANMF", bytes(6) + b"\x08\x00\x00" * 2 + bytes(5_000))
        header = header_of(riff(vp8x(9, 9, 2 | 8), frame * 1_000, riff_chunk(b"EXIF", exif(6))))

        self.assertEqual((header.width, header.height, header.orientation), (9, 9, 1))

    def test_turns_and_mirrors_of_heif_as_their_equivalent_of_exif(self):
        # The pairs that libavif writes for EXIF's numbers.
        for orientation, properties in {
            1: [irot(0)], 2: [imir(1)], 3: [irot(2)], 4: [imir(0)], 5: [irot(1), imir(0)], 6: [irot(3)],
            7: [irot(3), imir(0)], 8: [irot(1)],
        }.items():  # fmt: skip
            for brand, kind in ((b"heic", b"hvc1"), (b"avif", b"av01")):
                with self.subTest(orientation, brand=brand):
                    data = ftyp(brand, b"mif1") + meta(item_kind=kind, properties=tuple(properties))
                    self.assertTurned(data, orientation)

    def test_turns_and_mirrors_of_heif_are_applied_in_their_order(self):
        for orientation, properties in (
            (7, (imir(0), irot(1))),
            (3, (imir(0), imir(1))),
            (1, (irot(1), irot(3))),
            (4, (irot(1), imir(1), irot(1), irot(2))),
        ):
            with self.subTest(orientation):
                self.assertTurned(HEIC + meta(properties=properties), orientation)

    def test_turn_in_the_properties_of_a_heif_and_in_its_exif_is_made_once(self):
        for orientation, properties in ((6, (irot(3),)), (1, (irot(0),)), (2, (imir(1),))):
            with self.subTest(orientation):
                self.assertTurned(HEIC + meta(properties=properties, exif=exif(6)), orientation)

    def test_exif_of_a_miaf_file_turns_nothing(self):
        # "There should be no image transformations expressed by Exif": ISO/IEC 23000-22, 7.3.10.1.
        self.assertTurned(ftyp(b"heic", b"mif1", b"miaf") + meta(exif=exif(6)), 1)

    def test_heif_that_is_cropped(self):
        for name, properties, expected in (
            ("clap", (clap(80, 50),), (80, 50, 1)),
            ("in fractions", (clap(161, 99, 2),), (81, 50, 1)),
            ("before a turn", (clap(80, 50), irot(1)), (50, 80, 8)),
            ("behind a turn", (irot(1), clap(50, 80)), (50, 80, 8)),
            ("larger than the photo", (clap(500, 50),), (WIDTH, 50, 1)),
        ):
            with self.subTest(name):
                header = header_of(HEIC + meta(properties=properties))
                self.assertEqual((header.width, header.height, header.orientation), expected)
                self.assertEqual(header.pixels, WIDTH * HEIGHT)  # a decoder has to make them all


CAMERA = (271, 2, 6, b"CANON\0")
PREVIEW = ((254, 4, 1, 1), *TIFF_SIZE, CAMERA)
SENSOR = ((254, 4, 1, 0), (256, 4, 1, 6016), (257, 4, 1, 4016), (259, 3, 1, 34713), (262, 3, 1, 32803))
LARGE = ((254, 4, 1, 0), (256, 4, 1, 6016), (257, 4, 1, 4016), (262, 3, 1, 2))
RAW = {
    "preview, then the sensor's data": lambda order: tiff(*PREVIEW, (330, 4, 1, [SENSOR]), order=order),
    "preview, and several others": lambda order: tiff(*TIFF_SIZE, (330, 4, 2, [LARGE, SENSOR]), order=order),
    "preview of something that cannot be read": lambda order: tiff(*PREVIEW, (330, 4, 1, 10**6), order=order),
    "sensor's data at once": lambda order: tiff(*TIFF_SIZE, (262, 3, 1, 32803), order=order),
    "linear raw": lambda order: tiff(*TIFF_SIZE, (262, 3, 1, 34892), order=order),
    "sensor's data on the next page": lambda order: tiff(*TIFF_SIZE, CAMERA, order=order, next=SENSOR),
    "dng": lambda order: tiff(*TIFF_SIZE, (50706, 1, 4, 0x01040000), order=order),
    "tiff/ep with a colour filter array": lambda order: tiff(*TIFF_SIZE, (33422, 1, 4, 0), order=order),
    "preview without a size": lambda order: tiff((513, 4, 1, 8), CAMERA, (330, 4, 1, [SENSOR]), order=order),
    "cr2": lambda order: with_signature(b"CR\x02\x00", order),
    "iiq": lambda order: with_signature(b"IIIITwaR" if order == "<" else b"MMMMRawT", order),
}
OTHER_RAW = {
    "cr3": ftyp(b"crx ", b"crx ", b"isom") + box(b"moov", bytes(60)),
    "crw": b"II\x1a\x00\x00\x00HEAPCCDR" + bytes(60),
    "raf": b"FUJIFILMCCD-RAW 0201FF129502" + bytes(60),
    "orf": b"IIRO\x08\x00\x00\x00" + tiff(*TIFF_SIZE)[8:],
    "big-endian orf": b"MMOR\x00\x00\x00\x08" + bytes(60),
    "rw2": b"IIU\x00\x18\x00\x00\x00" + bytes(60),
    "x3f": b"FOVb" + bytes(60),
    "mrw": b"\x00MRM" + bytes(60),
}


def with_signature(signature: bytes, order: str) -> bytes:
    data = tiff(*TIFF_SIZE, order=order, at=24)
    return data[:8] + signature + data[8 + len(signature) :]


class RawFileTests(SimpleTestCase):
    def test_raw_files_are_refused_as_such(self):
        for order in "<>":
            for name, data in (OTHER_RAW | {name: make(order) for name, make in RAW.items()}).items():
                with self.subTest(name, order=order), self.assertRaises(RawFileError):
                    header_of(data)

    def test_raw_files_with_a_signature_are_told_by_their_first_piece(self):
        for name, data in OTHER_RAW.items():
            with self.subTest(name), self.assertRaises(RawFileError):
                sniff_format(data[:32])

    def test_tiffs_that_are_no_raw_files_pass(self):
        smaller = ((254, 4, 1, 1), *TIFF_SIZE)
        for order in "<>":
            for name, data in {
                "scan with make and pages": tiff(*TIFF_SIZE, CAMERA, order=order, next=TIFF_SIZE),
                "photo of an editor": tiff((254, 4, 1, 0), *TIFF_SIZE, CAMERA, (262, 3, 1, 2), order=order),
                "pyramid in sub-directories": tiff(*TIFF_SIZE, CAMERA, (330, 4, 2, [smaller, smaller]), order=order),
                "pyramid in pages": tiff((254, 4, 1, 0), *TIFF_SIZE, order=order, next=smaller),
                "page of a fax": tiff((254, 4, 1, 2), *TIFF_SIZE, (259, 3, 1, 4), order=order),
                "sub-directories that cannot be read": tiff(*TIFF_SIZE, (330, 4, 99, 10**6), order=order),
                "page that cannot be read": tiff(*TIFF_SIZE, CAMERA, order=order)[:-10] + b"\xff" * 10,
                "grey pixels where Phase One has its name": with_signature(b"I" * 16, order),
            }.items():
                with self.subTest(name, order=order):
                    header = header_of(data)
                    self.assertEqual((header.format, header.width, header.height), ("tiff", WIDTH, HEIGHT))

    def test_what_pillow_writes_with_the_tags_of_a_camera_passes(self):
        tags = {271: "NIKON CORPORATION", 272: "NIKON D750", 305: "Adobe Photoshop Lightroom", 274: 1}
        for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
            with self.subTest(compression):
                image = Image.new("RGB", (WIDTH, HEIGHT))
                self.assertEqual(header_of(saved(image, "tiff", tiffinfo=tags, compression=compression)).format, "tiff")

    def test_preview_that_points_to_itself_ends(self):
        data = tiff(*TIFF_SIZE, CAMERA, (330, 4, 1, 8), next=TIFF_SIZE)

        self.assertEqual(header_of(data).format, "tiff")
        self.assertLess(len(reads_of(data)), 20)


class EncodedPhotoTests(SimpleTestCase):
    def test_photos_in_base64_are_refused_as_such(self):
        for format in set(FORMATS) - {"bmp"}:
            text = base64.b64encode(tiny(format))
            for prefix in (b"", b'"', b"data:image/png;base64,"):
                with self.subTest(format, prefix=prefix), self.assertRaises(EncodedPhotoError):
                    sniff_format((prefix + text)[:64])


HOSTILE = {
    "nothing": b"",
    "one byte": b"\xff",
    "zeros": bytes(4096),
    "text": b"Dear sir, here is my photo.\n" * 100,
    "text that begins like a bitmap": b"BMW sells cars. " * 100,
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect/></svg>',
    "pdf": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n",
    "html": b"<!doctype html>" + HTML,
    "zip": b"PK\x03\x04" + bytes(60),
    "ico": b"\x00\x00\x01\x00\x01\x00\x10\x10" + bytes(60),
    "photoshop": b"8BPS\x00\x01" + bytes(60),
    "jpeg 2000": b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(60),
    "jpeg xl": b"\xff\x0a" + bytes(60),
    "mp4": ftyp(b"isom", b"isom", b"mp42", b"avc1") + box(b"moov", bytes(60)),
    "mp4 with the insides of a heic": ftyp(b"mp42", b"heic", b"mif1") + meta(),
    "quicktime": ftyp(b"qt  ", b"qt  ") + box(b"mdat", bytes(60)),
    "3gp": ftyp(b"3gp5", b"3gp5") + box(b"mdat", bytes(60)),
    "jpeg start, then html": b"\xff\xd8\xff" + HTML,
    "jpeg start and app0, then html": b"\xff\xd8" + segment(0xE0, b"JFIF\x00") + HTML,
    "jpeg frame, then html": b"\xff\xd8" + jpeg_frame() + HTML,
    "jpeg without a frame": jpeg(segment(0xDB, bytes(65))),
    "jpeg of no width": jpeg(jpeg_frame(0, HEIGHT)),
    "jpeg whose height comes later": jpeg(jpeg_frame(WIDTH, 0)),
    "jpeg with two frames": jpeg(jpeg_frame(1, 1), jpeg_frame(60_000, 60_000)),
    "jpeg of 11 bits": jpeg(jpeg_frame(precision=11)),
    "jpeg with DHT in place of a frame": jpeg(jpeg_frame(marker=0xC4)),
    "jpeg with JPG in place of a frame": jpeg(jpeg_frame(marker=0xC8)),
    "jpeg with DAC in place of a frame": jpeg(jpeg_frame(marker=0xCC)),
    "jpeg of 9 components": jpeg(segment(0xC0, struct.pack(">BHHB", 8, 9, 9, 9) + bytes([1, 17, 0] * 9))),
    "jpeg sampled 0 x 1": jpeg(segment(0xC0, struct.pack(">BHHB", 8, 9, 9, 1) + b"\x01\x01\x00")),
    "jpeg sampled 1 x 5": jpeg(segment(0xC0, struct.pack(">BHHB", 8, 9, 9, 1) + b"\x01\x15\x00")),
    "jpeg frame of a wrong length": jpeg(segment(0xC0, struct.pack(">BHHB", 8, 9, 9, 3) + b"\x01\x11\x00")),
    "jpeg scan of a wrong length": b"\xff\xd8" + jpeg_frame() + segment(0xDA, b"\x01\x01") + bytes(60),
    "jpeg tables of no length": jpeg(b"\xff\xdb\x00\x00", jpeg_frame()),
    "jpeg that ends at once": b"\xff\xd8\xff\xd9" + bytes(60),
    "jpeg with a reserved marker": jpeg(segment(0x3C, b"html"), jpeg_frame()),
    "jpeg that begins twice": jpeg(segment(0xD8, b""), jpeg_frame()),
    "jpeg of fill bytes": b"\xff\xd8" + b"\xff" * 100_000,
    "png signature, then html": b"\x89PNG\r\n\x1a\n" + HTML,
    "png header, then html": png()[:33] + HTML,
    "png with a wrong checksum": png()[:29] + b"\x00\x00\x00\x00" + png()[33:],
    "png of no width": png(0, HEIGHT),
    "png of no height": png(WIDTH, 0),
    "png of 2^31 columns": png(2**31, HEIGHT),
    "png of 4 bits a colour": png(kind=b"\x04\x02\x00\x00\x00"),
    "png of colour type 5": png(kind=b"\x08\x05\x00\x00\x00"),
    "png of an unknown compression": png(kind=b"\x08\x02\x01\x00\x00"),
    "png of an unknown interlacing": png(kind=b"\x08\x02\x00\x00\x02"),
    "png that ends without pixels": png(chunks=png_chunk(b"IEND", b"")),  # as Pillow's syntax_num_frames_zero.png
    "gif signature, then html": b"GIF89a" + HTML,
    "gif screen, then html": b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + HTML,
    "gif that ends without a frame": b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + b";",
    "gif with an empty frame": gif(9, 9, frame=(0, 0, 0, 9)),  # as gdk-pixbuf's image-zero-width.gif
    "gif with an impossible code size": gif(9, 9, code_size=12),  # as gdk-pixbuf's overflow-codes-max.gif
    "gif of an unknown version": b"GIF88a" + gif(9, 9)[6:],
    "webp signature, then junk": b"RIFF\xff\xff\xff\x00WEBP" + HTML,
    "webp canvas, then junk": riff(vp8x(9, 9), HTML),
    "webp canvas without a frame": riff(vp8x(9, 9)),
    "webp frame without its start code": riff(
        riff_chunk(b"VP8 ", b"\x10\x02\x00\x00\x00\x00\x09\x00\x09\x00" + bytes(60))
    ),
    "webp frame that is no key frame": riff(
        riff_chunk(b"VP8 ", b"\x11\x02\x00\x9d\x01\x2a\x09\x00\x09\x00" + bytes(60))
    ),
    "webp frame of no width": riff(riff_chunk(b"VP8 ", b"\x10\x02\x00\x9d\x01\x2a\x00\x00\x09\x00" + bytes(60))),
    "webp lossless frame without its signature": riff(riff_chunk(b"VP8L", bytes(60))),
    "webp frame larger than its canvas": riff(vp8x(9, 9), vp8l(9_000, 9_000)),
    "webp animation wider than its canvas": riff(
        vp8x(9, 9, 2), riff_chunk(b"ANMF", b"\x00" * 6 + b"\x09\x00\x00\x08\x00\x00" + bytes(60))
    ),
    "webp animation taller than its canvas": riff(
        vp8x(9, 9, 2), riff_chunk(b"ANMF", b"\x00" * 6 + b"\x08\x00\x00\x09\x00\x00" + bytes(60))
    ),
    "webp frame longer than the image": b"RIFF\x10\x00\x00\x00WEBP" + vp8l(9, 9),
    "avi": b"RIFF\x24\x00\x00\x00AVI LIST" + bytes(60),
    "wav": b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(60),
    "tiff magic, then junk": b"II*\x00" + HTML,
    "big-endian tiff magic, then junk": b"MM\x00*" + HTML,
    "bigtiff magic, then junk": b"II+\x00\x08\x00\x00\x00" + HTML,
    "tiff whose directory lies in its header": b"II*\x00\x04\x00\x00\x00" + bytes(60),
    "tiff whose directory lies beyond its end": b"II*\x00\x00\x00\x00\x10" + bytes(60),
    "tiff of 61457 entries": b"II*\x00\x08\x00\x00\x00\x11\xf0"
    + bytes(800_000),  # as Pillow's timeout-6646305047838720
    "tiff without pixels": tiff(*TIFF_SIZE[:2]),
    "tiff without a height": tiff(TIFF_SIZE[0], TIFF_SIZE[2]),
    "tiff of no width": tiff((256, 4, 1, 0), *TIFF_SIZE[1:]),
    "tiff of two widths": tiff((256, 4, 1, 1), *TIFF_SIZE),  # as Pillow's crash-74d2a784….tif
    "tiff whose width is a text": tiff((256, 2, 1, 9), *TIFF_SIZE[1:]),
    "tiff whose width is a list": tiff((256, 4, 2, 9), *TIFF_SIZE[1:]),
    "bmp signature, then html": b"BM" + HTML,
    "bmp of no width": bmp(0, 9),
    "bmp of no height": bmp(9, 0),
    "bmp of negative width": bmp(-9, 9),  # as badwidth.bmp of the BMP suite
    "bmp of 2 planes": bmp(9, 9, planes=2),  # as badplanes.bmp of the BMP suite
    "bmp of 7 bits": bmp(9, 9, bits=7),
    "bmp that wraps a jpeg": bmp(9, 9, compression=4),  # as rgb24jpeg.bmp of the BMP suite
    "bmp without pixels": bmp(9, 9)[:54],
    "bmp whose pixels lie in its header": bmp(9, 9, offset=20),
    "bmp whose pixels lie beyond its end": bmp(9, 9, offset=9_999),
    "bmp of an unknown header": bmp(9, 9, header_bytes=41),
    "heic brand, then junk": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + HTML,
    "heic brand in a box of no length": b"\x00\x00\x00\x00ftypheic" + bytes(60),
    "avif brand, then a film": ftyp(b"avif", b"avif", b"mif1") + box(b"mdat", bytes(60)) + box(b"moov", bytes(60)),
    "heic whose primary item is missing": HEIC + meta(primary=7),
    "heic of an unknown codec": HEIC + meta(item_kind=b"jpeg"),
    "heic whose primary item is metadata": HEIC + meta(item_kind=b"Exif"),
    "heic without a size": HEIC + meta(associated=(9,)),
    "heic cropped to nothing": HEIC + meta(properties=(clap(0, 9),)),
    "heic cropped by no fraction": HEIC + meta(properties=(clap(9, 9, 0),)),
    "heic of no width": HEIC + meta(sizes=((9, 9), (0, 9))),
    "heic with a box shorter than its header": HEIC + struct.pack(">I4s", 4, b"free") + meta(),
    "heic with a box longer than the file": HEIC + struct.pack(">I4sQ", 1, b"free", 2**63) + meta(),
}


class HostileFileTests(SimpleTestCase):
    def test_what_is_no_photo_by_its_content_is_refused(self):
        for name, data in HOSTILE.items():
            with self.subTest(name):
                with self.assertRaises(NotAPhotoError) as refusal:
                    header_of(data)
                self.assertGreater(len(str(refusal.exception)), 10)

    def test_the_parts_that_hostile_files_are_made_of_do_make_photos(self):
        # Otherwise the cases above could be refused for another reason than the one they are named after.
        webp_frame = riff_chunk(b"VP8 ", b"\x10\x02\x00\x9d\x01\x2a\x09\x00\x09\x00" + bytes(60))
        animation = riff(vp8x(9, 9, 2), riff_chunk(b"ANMF", b"\x00" * 6 + b"\x08\x00\x00" * 2 + bytes(60)))
        for data in (
            jpeg(jpeg_frame()), png(), gif(9, 9), tiff(*TIFF_SIZE), bmp(9, 9), HEIC + meta(),
            riff(webp_frame), riff(vp8l(9, 9)), riff(vp8x(9, 9), vp8l(9, 9)), animation,
            ftyp(b"avif") + meta(item_kind=b"av01"),
        ):  # fmt: skip
            with self.subTest(data[:16]):
                header_of(data)

    def test_signature_alone_is_refused_on_the_first_piece_where_it_can_be(self):
        for name in (
            "nothing",
            "text",
            "text that begins like a bitmap",
            "svg",
            "pdf",
            "html",
            "mp4",
            "quicktime",
            "avi",
        ):
            with self.subTest(name), self.assertRaises(NotAPhotoError):
                sniff_format(HOSTILE[name][:32])

    def test_every_truncation_is_refused_or_has_the_right_size(self):
        for format in FORMATS:
            data = tiny(format)
            verdicts = [verdict_on(data[:length]) for length in range(min(len(data), 2048))]
            with self.subTest(format):
                self.assertEqual(set(verdicts[:20]), {None})
                # Refused up to the end of the header, and taken from there on.
                taken = verdicts.index((format, WIDTH, HEIGHT))
                self.assertEqual(set(verdicts[:taken]), {None})
                self.assertEqual(set(verdicts[taken:]), {(format, WIDTH, HEIGHT)})

    def test_four_thousand_mutations_raise_nothing_else(self):
        dice = random.Random(20240229)
        odd_ones = [
            HEIC + meta(properties=(clap(80, 50), irot(1), imir(0))),
            HEIC + meta(exif=exif(6)),
            tiff(*TIFF_SIZE, CAMERA, (274, 3, 1, 6), (330, 4, 2, [TIFF_SIZE, LARGE]), next=TIFF_SIZE),
            jpeg(segment(0xE1, b"Exif\0\0" + exif(6)), jpeg_frame()),
            png(chunks=png_chunk(b"eXIf", exif(6))),
            riff(vp8x(9, 9, 8), vp8l(9, 9), riff_chunk(b"EXIF", exif(6))),
        ]
        originals = itertools.cycle([tiny(format)[:3000] for format in FORMATS] + odd_ones)
        verdicts = [verdict_on(mutated(next(originals), dice)) for _ in range(4000)]

        for format, width, height in filter(None, verdicts):
            self.assertTrue(format in FORMATS and width > 0 and height > 0)
        # Otherwise the mutations miss the headers, or hit nothing but signatures.
        self.assertTrue(400 < verdicts.count(None) < 3600)


def verdict_on(data: bytes) -> tuple[str, int, int] | None:
    """(format, width, height), or None for what is refused."""
    try:
        header = header_of(data)
    except NotAPhotoError:
        return None
    return header.format, header.width, header.height


def mutated(data: bytes, dice: random.Random) -> bytes:
    """The file with one to four wounds: bytes set to extremes or at random, cut out or doubled, or the end missing."""
    wounded = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(min(len(wounded), dice.choice((32, 128, 512, 4096)))) if wounded else 0
        match dice.randrange(5):
            case 0:
                wounded[at : at + 1] = bytes([dice.choice((0, 1, 0x7F, 0x80, 0xFF))])
            case 1:
                wounded[at : at + 4] = dice.randbytes(4)
            case 2:
                del wounded[at : at + dice.randint(1, 8)]
            case 3:
                wounded[at:at] = wounded[at : at + dice.randint(1, 64)]
            case 4:
                del wounded[max(at, 12) :]
    return bytes(wounded)


class BoundedWorkTests(SimpleTestCase):
    """Ten megabytes built to keep a reader busy."""

    def assertBounded(self, data: bytes):
        reads = reads_of(data)
        self.assertLessEqual(len(reads), MAX_READS)
        self.assertLessEqual(max(reads), 128 * 1024)

    def test_header_scattered_over_thousands_of_places_is_refused_within_bounded_reads(self):
        megabytes = 10 * 1024 * 1024
        for name, data in {
            "jpeg of small segments": jpeg(segment(0xE1, bytes(5_000)) * 2_000, jpeg_frame()),
            "jpeg of tiny segments": jpeg(segment(0xE1, b"") * (megabytes // 4), jpeg_frame()),
            "jpeg of twenty megabytes of stray bytes": jpeg(
                segment(0xE0, b"JFIF\x00"), bytes(2 * megabytes), jpeg_frame()
            ),
            "jpeg of stray bytes alone": b"\xff\xd8\xff" + b"\xff\x00" * (megabytes // 2),
            "jpeg of segments of no length": jpeg(b"\xff\xe0\x00\x00" * (megabytes // 4), jpeg_frame()),
            "jpeg of segments behind stray bytes": jpeg((segment(0xE1, b"") + bytes(5_000)) * 2_000),
            "png of small chunks": png(chunks=png_chunk(b"tEXt", bytes(5_000)) * 2_000),
            "png of tiny chunks": png(chunks=png_chunk(b"tEXt", b"") * (megabytes // 12)),
            "gif of comments": gif(9, 9, blocks=(b"!\xfe" + (b"\xff" + bytes(255)) * 40_000 + b"\x00")),
            "gif of empty comments": gif(9, 9, blocks=b"!\xfe\x00" * (megabytes // 3)),
            "webp of small chunks": riff(vp8x(9, 9), riff_chunk(b"ICCP", bytes(5_000)) * 2_000, vp8l(9, 9)),
            "tiff of entries": b"II*\x00\x08\x00\x00\x00\xff\xff" + bytes(megabytes),
            "heic of boxes": HEIC + box(b"free") * (megabytes // 8) + meta(),
            "heic of small boxes": HEIC + box(b"free", bytes(5_000)) * 2_000 + meta(),
            "heic of sizes": HEIC + meta(associated=(0,), sizes=((9, 9),) * (megabytes // 20)),
        }.items():
            with self.subTest(name):
                self.assertBounded(data)
                with self.assertRaises(NotAPhotoError):
                    header_of(data)

    def test_table_of_properties_that_claims_to_be_endless_is_refused(self):
        ipma = full_box(b"ipma", b"\xff\xff\xff\xff", bytes(4 * 1024 * 1024))
        data = HEIC + meta().replace(box(b"ipco"), b"")
        start = data.index(b"iprp") - 4
        data = data[:start] + box(b"iprp", box(b"ipco"), ipma)
        data = HEIC + struct.pack(">I", len(data) - len(HEIC)) + data[len(HEIC) + 4 :]

        self.assertBounded(data)
        with self.assertRaises(NotAPhotoError):
            header_of(data)

    def test_a_store_that_answers_short_is_no_photo(self):
        data = tiny("jpeg")
        with self.assertRaises(NotAPhotoError):
            read_header(lambda offset, length: data[offset : offset + 8], size=len(data))

    def test_errors_of_the_store_reach_the_caller(self):
        def read_at(offset: int, length: int) -> bytes:
            raise ConnectionError("The store is away.")

        with self.assertRaises(ConnectionError):
            read_header(read_at, size=1000)
