"""Kinds of tickets in the admin: one form for the kind and its slots, in every language."""

import re

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from apps.tickets.admin.kind_fields import PerLanguageField, SpanField, span_in_words
from apps.tickets.kinds.copying import copy_of
from apps.tickets.kinds.examples import FORMATS, ExampleRefusedError, example_url_of, keep_example
from apps.tickets.models import ExamplePicture, KindSlot, TicketKind
from apps.tickets.models.kind import in_language
from apps.tickets.models.slots import INSTRUCTIONS_MAX_LENGTH, TITLE_MAX_LENGTH

MAX_SLOTS = 60  # a form has 12 fields for each, see DATA_UPLOAD_MAX_NUMBER_FIELDS
PICTURE_FIELD = re.compile(r"(slots-\d+-)picture")


class KindForm(forms.ModelForm):
    titles = PerLanguageField(label=capfirst(_("title")), max_length=TITLE_MAX_LENGTH)
    instructions = PerLanguageField(
        label=capfirst(_("instructions")),
        max_length=INSTRUCTIONS_MAX_LENGTH,
        widget=forms.Textarea,
        rows=4,
        required=False,
        help_text=_("For people who take the photos. Where a language is empty they read English, or what there is."),
    )
    expires_in_seconds = SpanField(
        label=capfirst(TicketKind._meta.get_field("expires_in_seconds").verbose_name),
        help_text=TicketKind._meta.get_field("expires_in_seconds").help_text,
    )


class SlotForm(forms.ModelForm):
    """A slot. A picture that is sent with it has become the value of `example` by the time it is read here."""

    titles = PerLanguageField(label=capfirst(_("title")), max_length=TITLE_MAX_LENGTH, required=False)
    instructions = PerLanguageField(
        label=capfirst(_("instructions")),
        max_length=INSTRUCTIONS_MAX_LENGTH,
        widget=forms.Textarea,
        rows=2,
        required=False,
    )
    order = forms.IntegerField(
        label=capfirst(_("place")),
        min_value=0,
        max_value=32767,
        widget=forms.NumberInput(
            {
                "class": "vIntegerField",
                "data-up": _("Move up"),
                "data-down": _("Move down"),
                "data-moved": _("Now place {place} of {places}"),
            }
        ),
    )
    picture = forms.FileField(
        label=capfirst(_("example picture")),
        required=False,
        widget=forms.FileInput({"accept": ",".join(f"image/{name}" for name in FORMATS)}),
    )
    remove_picture = forms.BooleanField(label=capfirst(_("remove the picture")), required=False)
    example = forms.ModelChoiceField(ExamplePicture.objects.all(), required=False, widget=forms.HiddenInput)

    def clean_picture(self):
        picture = self.cleaned_data["picture"]
        if (refusal := getattr(picture, "refusal", None)) is not None:
            raise forms.ValidationError(str(refusal))
        return picture

    def clean(self):
        fields = super().clean()
        if fields.get("remove_picture") and not fields.get("picture"):
            fields["example"] = None
        if fields.get("example") and fields.get("example_link"):
            message = _("Give a picture or an address, not both: remove the picture, or empty this field.")
            self.add_error("example_link", forms.ValidationError(message, code="both"))
        return fields


class SlotFormSet(forms.BaseInlineFormSet):
    def clean(self):
        """Says what is wrong with the number of photos, which the kind and its slots decide together."""
        super().clean()
        slots = sum(1 for form in self.forms if form.has_changed() or form.instance.pk) - len(self.deleted_forms)
        num_images = self.instance.num_images
        if not slots and not num_images:
            raise forms.ValidationError(_("Add slots, or say the number of photos above."))
        if num_images and num_images < slots:
            raise forms.ValidationError(_("There are more slots than photos: leave their number empty, or raise it."))
        if max(slots, num_images or 0) > settings.TICKET_MAX_IMAGES:
            message = _("A ticket takes at most {max_value} photos.").format(max_value=settings.TICKET_MAX_IMAGES)
            raise forms.ValidationError(message)


class SlotInline(admin.StackedInline):
    model = KindSlot
    form = SlotForm
    formset = SlotFormSet
    extra = 0
    max_num = MAX_SLOTS
    fields = (
        ("name", "source", "order"),
        "titles",
        "instructions",
        ("shown_example", "picture", "remove_picture"),
        "example_link",
        "example",
    )
    readonly_fields = ("shown_example",)

    class Media:
        js = ("hopla/slots.js",)

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("example")

    @admin.display(description=_("now"))
    def shown_example(self, slot):
        if slot.example is not None:
            return format_html('<img class="thumbnail" src="{}" alt="">', example_url_of(slot))
        if slot.example_link:
            return format_html('<a href="{}" rel="noreferrer noopener">{}</a>', slot.example_link, slot.example_link)
        return gettext("none")


@admin.register(TicketKind)
class TicketKindAdmin(admin.ModelAdmin):
    form = KindForm
    inlines = [SlotInline]
    change_form_template = "admin/kind.html"
    list_display = ("name", "title", "places", "expiry", "version", "is_active", "updated_at")
    list_filter = ("is_active",)
    search_fields = ("name",)
    ordering = ("name",)
    save_as = True
    fields = ("name", "is_active", "titles", "instructions", "num_images", "expires_in_seconds", "version")
    readonly_fields = ("version",)

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("slots")

    @admin.display(description=_("title"))
    def title(self, kind):
        return in_language(kind.titles, get_language())

    @admin.display(description=_("photos"))
    def places(self, kind):
        return kind.number_of_places

    @admin.display(description=_("expires after"))
    def expiry(self, kind):
        return span_in_words(kind.expires_in_seconds)

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        may = self.has_add_permission(request) or self.has_change_permission(request)
        if request.method == "POST" and may:
            self.keep_pictures(request)
        return super().changeform_view(request, object_id, form_url, extra_context)

    def keep_pictures(self, request) -> None:
        """Send the pictures to Cloudinary, before the transaction of the form begins, and write them down in it: they
        are not lost when something else in it is wrong.
        """
        if int(request.META.get("CONTENT_LENGTH") or 0) > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
            told = gettext("The pictures are larger than %(size)s together, so they were left out. Add smaller ones.")
            size = filesizeformat(settings.FILE_UPLOAD_MAX_MEMORY_SIZE)
            self.message_user(request, told % {"size": size}, messages.WARNING)
        form = request.POST.copy()
        for name, file in request.FILES.items():
            if match := PICTURE_FIELD.fullmatch(name):
                try:
                    form[f"{match[1]}example"] = str(keep_example(file.read()).pk)
                except ExampleRefusedError as refusal:
                    file.refusal = refusal
        request.POST = form

    def render_change_form(self, request, context, *args, **kwargs):
        kind = kwargs.get("obj")
        if kind is not None and kind.pk:
            context["previews"] = [preview_of(kind.pk, code, name) for code, name in settings.LANGUAGES]
        return super().render_change_form(request, context, *args, **kwargs)

    def save_related(self, request, form, formsets, change):
        super().save_related(request, form, formsets, change)
        if change and (form.has_changed() or any(formset.has_changed() for formset in formsets)):
            form.instance.changed()


def preview_of(kind_id: int, language: str, language_name: str) -> dict:
    """The saved kind in this language, for the page. Pictures of other hosts are links: the page may not load them."""
    kind = TicketKind.objects.prefetch_related("slots__example").get(pk=kind_id)
    preview = copy_of(kind, language)
    for slot, shown in zip(kind.slots.all(), preview["slots"], strict=True):
        shown["is_own"] = slot.example is not None
    return preview | {"code": language, "language": language_name, "title": in_language(kind.titles, language)}
