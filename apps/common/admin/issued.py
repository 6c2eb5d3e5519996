"""The admin of what staff issue to somebody: made by a form once, then shown, used and revoked, never edited."""

from apps.common.admin.lists import LargeAdmin


class IssuedAdmin(LargeAdmin):
    """`new_form` and `new_fields`: of the page that makes one. `fields` and `readonly_fields`: of each that is made.

    The permission to change them allows what is done with one (`permissions=["use"]` of actions, `may_use` in
    templates). None is deleted: it is revoked, and its row still says whose a photo or a request was.
    """

    def get_fields(self, request, obj=None):
        return self.fields if obj else self.new_fields

    def get_readonly_fields(self, request, obj=None):
        return self.readonly_fields if obj else ()

    def get_form(self, request, obj=None, **kwargs):
        return super().get_form(request, obj, **kwargs if obj else {"form": self.new_form} | kwargs)

    def has_change_permission(self, request, obj=None):
        return False

    def has_use_permission(self, request):
        return super().has_change_permission(request)

    def has_delete_permission(self, request, obj=None):
        return False

    def change_view(self, request, object_id, form_url="", extra_context=None):
        may_use = {"may_use": self.has_use_permission(request)}
        return super().change_view(request, object_id, form_url, may_use | (extra_context or {}))
