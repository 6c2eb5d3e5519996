"""Photos for staff, who may have failed ones tried again and delete them; and the assets that are to be removed."""

from django.contrib import admin
from django.db.models import Q
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError

from apps.common.admin.lists import LargeAdmin, LargeChangeList, TypedFilter
from apps.tickets.admin.parts import (
    ActingStaff,
    ReadOnly,
    SearchByTicketOrPhoto,
    StatusBadge,
    newest_moves,
    thumbnail,
)
from apps.tickets.models import AssetRemoval, Image
from apps.tickets.models.statuses import IN_FLIGHT, ImageStatus
from apps.tickets.staging import quarantine
from apps.tickets.storage import cloudinary
from apps.tickets.upkeep.staff_actions import ActionNotAllowed, try_again


class CodeFilter(TypedFilter):
    title = _("error code")
    parameter_name = "code"

    def queryset(self, request, queryset):
        if not self.value():
            return queryset
        # Stored photos have no error code; to say so lets two small indexes serve, and no table is scanned.
        return queryset.filter(Q(status=ImageStatus.FAILED) | Q(status__in=IN_FLIGHT), error_code=self.value())


class ImageChangeList(LargeChangeList):
    def get_queryset(self, *args, **kwargs):
        # Of the ticket the list shows its name alone, and these may be long.
        long = ("description", "instructions", "metadata", "slots")
        return super().get_queryset(*args, **kwargs).defer(*(f"ticket__{name}" for name in long))


@admin.register(Image)
class ImageAdmin(SearchByTicketOrPhoto, StatusBadge, ActingStaff, ReadOnly, LargeAdmin):
    list_display = ("id", "ticket", "position", "state", "attempts", "error_code", "next_retry_at", "created_at")
    list_filter = ("status", CodeFilter)
    list_select_related = ("ticket",)
    sortable_by = ()
    search_fields = ("=id", "=ticket__id")  # as get_search_results finds them
    actions = ["try_again"]
    change_form_template = "admin/image.html"
    measured = (
        ("ticket", "position", "slot"),
        ("state", "attempts", "next_retry_at"),
        ("error_code", "error_detail"),
        ("picture", "address"),
        ("filename", "content_type", "format"),
        ("size", "width", "height", "orientation"),
        ("sha256", "md5", "duplicate_of"),
        ("asset_id", "asset_version", "asset_format"),
        ("upload_expires_at",),
        ("created_at", "updated_at", "stored_at"),
        ("request_id",),
    )
    claimed = (("captured_at", "location", "camera"),)
    fieldsets = (
        (None, {"fields": measured}),
        (
            _("As the photo says"),
            {"fields": claimed, "description": _("What the camera, or anybody after it, wrote into the photo's EXIF.")},
        ),
    )
    rejected = (("rejection_reason", "rejected_at"), ("rejection_note",))
    readonly_fields = [name for row in (*measured, *claimed, *rejected) for name in row]

    def get_changelist(self, request, **kwargs):
        return ImageChangeList

    def get_fieldsets(self, request, obj=None):
        if obj is None or obj.status != ImageStatus.REJECTED:
            return self.fieldsets
        told = {"fields": self.rejected, "description": _("The photographer reads the reason and the note.")}
        return [(_("Another photo is wanted"), told), *self.fieldsets]

    def get_ordering(self, request):
        """Returns the order in which an index holds photos of the status looked for, as there may be millions."""
        by_status = {ImageStatus.FAILED: ("-updated_at",), ImageStatus.STORED: ("-stored_at",)}
        return by_status.get(request.GET.get("status__exact"), ("-ticket_id", "position"))

    def of_photo(self, queryset, image_id):
        return queryset.filter(pk=image_id)

    def has_operate_permission(self, request):
        return request.user.has_perm("tickets.change_image")

    @admin.display(description=_("slot"))
    def slot(self, image):
        return image.slot or "-"

    @admin.display(description=_("picture"))
    def picture(self, image):
        return thumbnail(image) or "-"

    @admin.display(description=_("location"))
    def location(self, image):
        return f"{image.latitude}, {image.longitude}" if image.shows_location else "-"

    @admin.display(description=_("address"))
    def address(self, image):
        if not image.has_an_asset:
            return "-"
        url = cloudinary.delivery_url(public_id=image.public_id, version=image.asset_version, format=image.asset_format)
        return format_html('<a href="{}" rel="noreferrer">{}</a>', url, url)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        image = self.get_object(request, object_id)
        seen = {}
        if image is not None:
            seen = newest_moves(ticket_id=image.ticket_id, image_id=image.pk)
            seen["bytes_are_kept"] = bytes_are_kept(image)
        return super().change_view(request, object_id, form_url, seen | (extra_context or {}))

    @admin.action(description=_("Try the selected photos again"), permissions=["operate"])
    def try_again(self, request, queryset):
        number, refusals = 0, []
        for image in queryset:
            try:
                try_again(image.pk)
            except ActionNotAllowed as refusal:
                refusals.append(str(refusal))
            else:
                number += 1
                self.log_change(request, image, gettext("Tried again."))
        self.tell_tried_again(request, number, refusals)


def bytes_are_kept(image: Image) -> bool:
    """Returns whether a failed photo may be tried again; True while its server does not say, as trying does then."""
    if image.status != ImageStatus.FAILED:
        return False
    try:
        return bool(quarantine.which_are_kept([image.pk]))
    except RedisError:
        return True


@admin.register(AssetRemoval)
class AssetRemovalAdmin(ReadOnly, LargeAdmin):
    list_display = ("public_id", "due_at", "attempts", "error")
    sortable_by = ()
    ordering = ("due_at",)
    search_fields = ("=public_id",)
