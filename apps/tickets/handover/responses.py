"""Manifests and archives as responses, for the API and the admin alike."""

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import patch_vary_headers

from apps.common.db.release import release_connection
from apps.tickets.handover.archive import Archive, Download
from apps.tickets.handover.manifest import Manifest

JSON, JOSE = "application/json", "application/jose"
# Each is issued anew and for one reader.
CACHE_CONTROL = "private, no-store"


def manifest_response(manifest: Manifest, media_type: str) -> HttpResponse:
    content = manifest.signed if media_type == JOSE else manifest.canonical
    response = HttpResponse(content, media_type, headers={"Cache-Control": CACHE_CONTROL})
    patch_vary_headers(response, ["Accept"])
    return response


def archive_response(archive: Archive, request, *, filename: str) -> HttpResponseBase:
    """Raises what Download does. HEAD fetches nothing and takes nobody's turn."""
    headers = {
        "Content-Length": str(len(archive)),
        "Content-Disposition": attachment(filename),
        "Cache-Control": CACHE_CONTROL,
        "Accept-Ranges": "none",
    }
    if request.method == "HEAD":
        return HttpResponse(content_type="application/zip", headers=headers)
    release_connection()
    download = Download(archive, sock=request.META.get("gunicorn.socket"))
    return StreamingHttpResponse(download, content_type="application/zip", headers=headers)


def attachment(filename: str) -> str:
    """A Content-Disposition. Of letters, digits, `.` and `-` alone."""
    return f'attachment; filename="{filename}"'
