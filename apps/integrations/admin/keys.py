"""API keys in the admin: whose they are, what they may do, when they were last used; staff revoke them, and superusers
make one for a user, who then is told it, as no page shows it again.
"""

from django import forms
from django.contrib import admin, messages
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException

from apps.common.admin.badge import badge
from apps.common.admin.issued import IssuedAdmin
from apps.common.admin.shown_once import shown_once
from apps.integrations.keys.making import make_key, require_room, revoke
from apps.integrations.keys.scopes import Scope
from apps.integrations.models import ApiKey
from apps.integrations.models.api_key import NAME_MAX_LENGTH, is_a_name


class NewKeyForm(forms.ModelForm):
    name = forms.CharField(
        label=_("name"), max_length=NAME_MAX_LENGTH, validators=[is_a_name], help_text=_("What it is for.")
    )
    scopes = forms.MultipleChoiceField(
        label=_("scopes"),
        choices=[(scope.value, format_lazy("{}: {}", scope.value, scope.label)) for scope in Scope],
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = ApiKey
        fields = ("owner", "name", "scopes", "expires_at")

    def clean_owner(self):
        owner = self.cleaned_data["owner"]
        try:
            require_room(owner)
        except APIException as refusal:
            raise forms.ValidationError(str(refusal.detail)) from refusal
        return owner

    def clean_expires_at(self):
        moment = self.cleaned_data["expires_at"]
        if moment is not None and moment <= timezone.now():
            raise forms.ValidationError(_("This moment is in the past."))
        return moment


@admin.register(ApiKey)
class ApiKeyAdmin(IssuedAdmin):
    list_display = (
        *("id", "prefix", "owner", "name", "told_scopes", "state_badge"),
        *("last_used_at", "expires_at", "created_at"),
    )
    list_select_related = ("owner",)
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("prefix", "name", "owner__username", "owner__email")
    raw_id_fields = ("owner",)
    new_form = NewKeyForm
    new_fields = ("owner", "name", "scopes", "expires_at")
    fields = readonly_fields = (
        *("owner", "name", "prefix", "told_scopes", "state_badge"),
        *("last_used_at", "expires_at", "revoked_at", "created_at"),
    )
    actions = ["revoke"]
    change_form_template = "admin/api_key.html"

    # --- What is shown ---

    def get_queryset(self, request):
        return super().get_queryset(request).defer("digest")

    @admin.display(description=_("scopes"))
    def told_scopes(self, key):
        return " ".join(key.scopes)

    @admin.display(description=_("state"))
    def state_badge(self, key):
        return badge(key.state, key.state.label)

    # --- Making one ---

    def save_model(self, request, obj, form, change):
        """Make it as the API does."""
        key, obj.secret = make_key(**form.cleaned_data)
        obj.pk = key.pk
        obj.refresh_from_db()

    def response_add(self, request, obj, post_url_continue=None):
        shown = {"title": gettext("API key"), "secret": obj.secret}
        return shown_once(self, request, obj, template="admin/api_key_shown.html", **shown)

    # --- What is done with one ---

    @admin.action(description=_("Revoke the selected API keys"), permissions=["use"])
    def revoke(self, request, queryset):
        revoked = [key for key in queryset if revoke(key)]
        for key in revoked:
            self.log_change(request, key, gettext("Revoked."))
        told = ngettext("%(number)d API key was revoked.", "%(number)d API keys were revoked.", len(revoked))
        self.message_user(request, told % {"number": len(revoked)}, messages.SUCCESS)
