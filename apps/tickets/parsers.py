"""The two ways a photo may come: a multipart form with one file, or the bare bytes. Both feed the same stream, which
the view has put on the request with a StagingUploadHandler. What they answer holds `body_sha256` (see IncomingBody).
"""

from django.utils.http import parse_header_parameters
from rest_framework.parsers import BaseParser, DataAndFiles, MultiPartParser

from apps.tickets.body import IncomingBody


class PhotoFormParser(MultiPartParser):
    """multipart/form-data, with the photo in the field `image`."""

    def parse(self, stream, media_type=None, parser_context=None):
        with IncomingBody(stream) as body:
            super().parse(body, media_type, parser_context)
            body.require_whole()
        return DataAndFiles({"body_sha256": body.sha256}, {})


class BarePhotoParser(BaseParser):
    """The photo's bytes as the whole body, with any image/* type and, if the client wants, a Content-Disposition."""

    media_type = "image/*"

    def parse(self, stream, media_type=None, parser_context=None):
        request = parser_context["request"]
        photo = request.upload_handlers[0].stream
        photo.open(filename_of(request.META.get("HTTP_CONTENT_DISPOSITION", "")))
        with IncomingBody(stream) as body:
            while portion := body.read():
                photo.write(portion)
        return DataAndFiles({"body_sha256": body.sha256}, {})


def filename_of(content_disposition: str) -> str:
    """The filename parameter (RFC 6266, `filename*` first), or ""."""
    try:
        _, parameters = parse_header_parameters(content_disposition)
    except ValueError:
        return ""
    return parameters.get("filename", "")
