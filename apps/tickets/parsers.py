"""The two ways a photo may come: a multipart form with one file, or the bare bytes. Both feed the same stream, which
the view passes as `photo` in the parser's context, and answer the body's sha256 (see IncomingBody).
"""

from django.conf import settings
from django.utils.http import parse_header_parameters
from django.utils.translation import gettext as _
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from apps.tickets.body import IncomingBody
from apps.tickets.errors import ImageMissingError, OneImagePerRequestError

AS_THEY_ARE = ("", "binary", "8bit", "7bit")


class PhotoFormParser(BaseParser):
    """multipart/form-data, with the photo in the field `image`. Of other fields nothing is kept.

    Not by Django's parser, which copies each portion three times and takes a seventh of the request's processor time.
    """

    media_type = "multipart/form-data"

    def parse(self, stream, media_type=None, parser_context=None):
        photo = parser_context["photo"]
        with IncomingBody(stream) as body:
            try:
                self._parse(body, parse_options_header(media_type)[1].get("boundary", ""), photo)
            except MultipartError as exc:
                raise ParseError(f"Multipart form parse error - {exc}") from exc
        return body.sha256

    def _parse(self, body: IncomingBody, boundary: str, photo) -> None:
        parser = PushMultipartParser(
            boundary,
            max_segment_count=settings.DATA_UPLOAD_MAX_NUMBER_FIELDS,
            header_charset="latin-1",  # every byte is a letter; see filename_of_part
        )
        is_photo = False
        while portion := body.read():
            for event in parser.parse(portion):
                if isinstance(event, MultipartSegment):
                    is_photo = self._begin(event, photo)
                elif event and is_photo:
                    photo.write(event)
        parser.close()  # raises when the last boundary is missing

    @staticmethod
    def _begin(part: MultipartSegment, photo) -> bool:
        """Whether this part is the photo, which is opened then. A part without a filename is no file."""
        filename = filename_of_part(part)
        if not filename:
            return False
        if photo.is_open:
            raise OneImagePerRequestError
        if part.name != "image":
            raise ImageMissingError
        if part.header("Content-Transfer-Encoding", "").strip().lower() not in AS_THEY_ARE:
            raise ParseError(_("Send the photo's bytes as they are, without a Content-Transfer-Encoding."))
        photo.open(filename)
        return True


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
    """The filename parameter (RFC 6266, `filename*` first), or ""."""
    try:
        parameters = parse_header_parameters(content_disposition)[1]
    except ValueError:
        return ""
    return parameters.get("filename", "")


def filename_of_part(part: MultipartSegment) -> str:
    """Browsers send it in UTF-8; some libraries send `filename*`, which RFC 7578 does without. "" if there is none."""
    disposition = part.header("Content-Disposition")
    if "filename*" in disposition:
        return filename_of(disposition)
    return (part.filename or "").encode("latin-1").decode(errors="replace")
