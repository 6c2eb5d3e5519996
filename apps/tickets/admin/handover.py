"""Staff take what a set is handed on with: the archive of one ticket or of some, and the signed manifest."""

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseBase
from django.shortcuts import redirect
from django.urls import path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.common.api.errors import TemporarilyUnavailableError
from apps.tickets.errors import ArchiveBusyError
from apps.tickets.handover.archive import Archive
from apps.tickets.handover.manifest import Manifest, read_manifest
from apps.tickets.handover.responses import JOSE, archive_response, attachment, manifest_response
from apps.tickets.models import Ticket

MOST_TICKETS = 20  # in one archive: all of their photos are listed before the first is sent


class HandoverAdmin:
    """Mixed into the admin of tickets. All of it is for whoever may see tickets."""

    def get_urls(self):
        return [
            path("<int:ticket_id>/archive/", self.admin_site.admin_view(self.archive), name="tickets_ticket_archive"),
            path(
                "<int:ticket_id>/manifest/", self.admin_site.admin_view(self.manifest), name="tickets_ticket_manifest"
            ),
            *super().get_urls(),
        ]

    def archive(self, request, ticket_id):
        archive = Archive([self._manifest_for(request, ticket_id)])
        response = self._archive_response(request, archive, filename=f"ticket-{ticket_id}.zip")
        return response or redirect("admin:tickets_ticket_change", ticket_id)

    def manifest(self, request, ticket_id):
        response = manifest_response(self._manifest_for(request, ticket_id), JOSE)
        response.headers["Content-Disposition"] = attachment(f"ticket-{ticket_id}-manifest.jws")
        return response

    @admin.action(description=_("Download the photos of the selected tickets"), permissions=["view"])
    def download_photos(self, request, queryset):
        ticket_ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: MOST_TICKETS + 1])
        if len(ticket_ids) > MOST_TICKETS:
            told = gettext("Select at most %(number)d tickets: their photos come in one archive.")
            self.message_user(request, told % {"number": MOST_TICKETS}, messages.ERROR)
            return None
        manifests = [read_manifest(ticket_id, reader=request.user) for ticket_id in ticket_ids]
        return self._archive_response(request, Archive(manifests), filename="tickets.zip")

    def _manifest_for(self, request, ticket_id: int) -> Manifest:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return read_manifest(ticket_id, reader=request.user)
        except Ticket.DoesNotExist as exc:
            raise Http404 from exc

    def _archive_response(self, request, archive: Archive, *, filename: str) -> HttpResponseBase | None:
        """Returns None after a message to the user when it is not possible now."""
        try:
            return archive_response(archive, request, filename=filename)
        except (ArchiveBusyError, TemporarilyUnavailableError) as exc:
            self.message_user(request, str(exc.detail), messages.ERROR)
            return None
