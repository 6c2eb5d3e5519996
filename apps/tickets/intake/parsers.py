"""The two ways a photo may come: a multipart form with one file, or the bare bytes. Both write to the stream that the
view passes as `photo` in the parser's context, and return the body's sha256 (see IncomingBody). The name in a form's
field `slot` goes to the WantedSlot that is there as `slot`.
"""

from django.conf import settings
from django.utils.http import parse_header_parameters
from django.utils.translation import gettext as _
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from apps.tickets.errors import ImageMissingError, OneImagePerRequestError
from apps.tickets.intake.body import IncomingBody
from apps.tickets.intake.wanted_slot import MOST_BYTES, SLOT

PHOTO_FIELD = "image"
AS_THEY_ARE = ("", "binary", "8bit", "7bit")


class PhotoFormParser(BaseParser):
    """multipart/form-data, with the photo in the field `image`, and its slot's name in `slot`. Of other fields nothing
    is kept.

    Django's parser copies each portion three times, which takes a seventh of the request's CPU time.
    """

    media_type = "multipart/form-data"

    def parse(self, stream, media_type=None, parser_context=None):
        photo = parser_context["photo"]
        boundary = parse_options_header(media_type)[1].get("boundary", "")
        if not boundary:
            raise ParseError(_("The form's Content-Type lacks its boundary: let your HTTP library write that header."))
        with IncomingBody(stream) as body:
            try:
                self._parse(body, boundary, photo, parser_context["slot"])
            except ParserLimitReached as exc:
                raise ParseError(_("The form has too many fields, or too many or too long headers in one.")) from exc
            except MultipartError as exc:
                raise ParseError(_("The multipart form is malformed.")) from exc
        return body.sha256

    def _parse(self, body: IncomingBody, boundary: str, photo, slot) -> None:
        parser = PushMultipartParser(
            boundary,
            max_segment_count=settings.DATA_UPLOAD_MAX_NUMBER_FIELDS,
            header_charset="latin-1",  # every byte is a letter; see filename_of_part
        )
        part = None
        is_photo = is_slot = False
        slot_name = b""
        while portion := body.read():
            for event in parser.parse(portion):
                if isinstance(event, MultipartSegment):
                    part = event
                    is_photo = self._begin(part, photo)
                    is_slot, slot_name = part.name == SLOT, b""
                elif is_slot and event:
                    slot_name = (slot_name + event)[: MOST_BYTES + 1]  # enough to tell that it is too long
                elif is_slot and event is None:
                    slot.give(slot_name.decode("latin-1"))
                elif event and is_photo:
                    if part.bytes_received == len(event) and not filename_of_part(part):  # its first bytes
                        self._open(photo, "")
                    photo.write(event)
        try:
            parser.close()  # raises when the last boundary is missing
        except MultipartError as exc:
            if part is not None:
                raise
            raise ParseError(
                _("The form lacks the boundary that its Content-Type names: let your HTTP library write that header.")
            ) from exc

    def _begin(self, part: MultipartSegment, photo) -> bool:
        """Returns whether this part is the photo.

        With a file name it is opened here, even if it is empty; without one it may be what browsers send when no file
        was chosen, and is opened with its first byte.
        """
        filename = filename_of_part(part)
        if part.name != PHOTO_FIELD:
            if filename:
                raise OneImagePerRequestError if photo.is_open else ImageMissingError
            return False
        if part.header("Content-Transfer-Encoding", "").strip().lower() not in AS_THEY_ARE:
            raise ParseError(_("Send the photo's bytes as they are, without a Content-Transfer-Encoding."))
        if filename:
            self._open(photo, filename)
        return True

    @staticmethod
    def _open(photo, filename: str) -> None:
        if photo.is_open:
            raise OneImagePerRequestError
        photo.open(filename)


class BarePhotoParser(BaseParser):
    """The photo's bytes as the whole body, with any image/* type and, if the client wants, a Content-Disposition."""

    media_type = "image/*"

    def parse(self, stream, media_type=None, parser_context=None):
        photo = parser_context["photo"]
        photo.open(filename_of(stream.META.get("HTTP_CONTENT_DISPOSITION", "")))
        with IncomingBody(stream) as body:
            while portion := body.read():
                photo.write(portion)
        return body.sha256


def filename_of(content_disposition: str) -> str:
    """Returns the filename parameter (RFC 6266, `filename*` first), or "". Takes the header as WSGI has it, a letter a
    byte."""
    header = text_of(content_disposition)
    try:
        parameters = parse_header_parameters(header)[1]
    except (ValueError, TypeError):  # an unknown charset, or parts of a name that are not all numbered
        parameters = parse_options_header(header)[1]
    return parameters.get("filename", "")


def filename_of_part(part: MultipartSegment) -> str:
    """Returns the part's file name, or "". Browsers send it in UTF-8, some libraries, against RFC 7578, `filename*`."""
    disposition = part.header("Content-Disposition")
    if "filename*" in disposition.lower():
        return filename_of(disposition)
    return text_of(part.filename or "")


def text_of(header: str) -> str:
    """Returns the text that a header stands for, read as UTF-8, which most clients send, or else as Latin-1."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header
