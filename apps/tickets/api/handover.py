"""What a set is handed on with: its manifest, its archive, and the keys for whoever verifies them."""

from django.http import Http404, JsonResponse
from django.views.decorators.http import condition, require_safe
from drf_yasg.utils import swagger_auto_schema
from rest_framework.views import APIView

from apps.tickets.api import handover_schema as schema
from apps.tickets.handover import signing
from apps.tickets.handover.archive import Archive
from apps.tickets.handover.manifest import Manifest, read_manifest
from apps.tickets.handover.responses import JOSE, JSON, archive_response, manifest_response
from apps.tickets.models import Ticket

# A key that is added must be known before anything signed by it comes along.
KEYS_CACHE_CONTROL = "public, max-age=300"


class ManifestView(APIView):
    @swagger_auto_schema(**schema.READ_MANIFEST)
    def get(self, request, ticket_id):
        manifest = manifest_or_404(ticket_id, reader=request.user)
        return manifest_response(manifest, request.get_preferred_type([JSON, JOSE]) or JSON)


class ArchiveView(APIView):
    @swagger_auto_schema(**schema.READ_ARCHIVE)
    def get(self, request, ticket_id):
        archive = Archive([manifest_or_404(ticket_id, reader=request.user)])
        return archive_response(archive, request, filename=f"ticket-{ticket_id}.zip")


def manifest_or_404(ticket_id: int, *, reader) -> Manifest:
    try:
        return read_manifest(ticket_id, reader=reader)
    except Ticket.DoesNotExist as exc:
        raise Http404 from exc


@require_safe
@condition(etag_func=lambda request: '"{}"'.format("-".join(key.id for key in signing.signing_keys())))
def jwks(request):
    """The public keys, for everyone and for pages of every origin."""
    headers = {"Cache-Control": KEYS_CACHE_CONTROL, "Access-Control-Allow-Origin": "*"}
    return JsonResponse(signing.public_keys(), content_type="application/jwk-set+json", headers=headers)
