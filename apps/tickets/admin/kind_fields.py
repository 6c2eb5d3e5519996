"""Form fields of kinds of tickets: a text in each language, and a time in the unit that people think in."""

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

UNITS = {"days": 24 * 3600, "hours": 3600, "minutes": 60, "seconds": 1}
UNIT_NAMES = [("days", _("days")), ("hours", _("hours")), ("minutes", _("minutes")), ("seconds", _("seconds"))]


class PerLanguageWidget(forms.MultiWidget):
    """An input for each language of the settings, side by side."""

    template_name = "tickets/per_language.html"

    def __init__(self, widget: type[forms.Widget], **attrs):
        each = [widget(attrs | {"lang": code, "aria-label": name}) for code, name in settings.LANGUAGES]
        super().__init__(each)

    def decompress(self, value) -> list[str]:
        return [(value or {}).get(code, "") for code, _name in settings.LANGUAGES]


class PerLanguageField(forms.MultiValueField):
    """`{"en": "Front", "es": "Frente"}`: what is left empty is left out; if it is required, one is enough."""

    def __init__(self, *, max_length: int, widget: type[forms.Widget] = forms.TextInput, rows: int = 0, **options):
        fields = [forms.CharField(max_length=max_length, required=False) for _language in settings.LANGUAGES]
        attrs = {"maxlength": max_length} | ({"rows": rows} if rows else {})
        super().__init__(fields, require_all_fields=False, widget=PerLanguageWidget(widget, **attrs), **options)

    def compress(self, values: list[str]) -> dict[str, str]:
        given = zip(settings.LANGUAGES, values, strict=False)
        return {code: text for (code, _name), text in given if text}


class SpanWidget(forms.MultiWidget):
    def __init__(self):
        number = forms.NumberInput({"min": 1, "class": "vIntegerField", "aria-label": _("number")})
        super().__init__([number, forms.Select({"aria-label": _("unit")}, choices=UNIT_NAMES)])

    def decompress(self, seconds: int | None) -> list:
        """In the largest unit that needs no fraction."""
        if not seconds:
            return [None, "days"]
        unit = next(name for name, length in UNITS.items() if seconds % length == 0)
        return [seconds // UNITS[unit], unit]


class SpanField(forms.MultiValueField):
    """A number of seconds, typed as so many minutes, hours or days; None when it is left empty."""

    def __init__(self, **options):
        fields = [forms.IntegerField(min_value=1, required=False), forms.ChoiceField(choices=UNIT_NAMES)]
        super().__init__(fields, require_all_fields=False, required=False, widget=SpanWidget(), **options)

    def has_changed(self, initial, data) -> bool:
        return super().has_changed(self.widget.decompress(initial), data)

    def compress(self, values: list) -> int | None:
        number, unit = values or (None, "")
        return number and number * UNITS[unit]


def span_in_words(seconds: int | None) -> str:
    """Such as "2 days"; "-" for none."""
    number, unit = SpanWidget().decompress(seconds)
    words = {
        "days": ngettext("%(number)d day", "%(number)d days", number or 0),
        "hours": ngettext("%(number)d hour", "%(number)d hours", number or 0),
        "minutes": ngettext("%(number)d minute", "%(number)d minutes", number or 0),
        "seconds": ngettext("%(number)d second", "%(number)d seconds", number or 0),
    }
    return words[unit] % {"number": number} if number else "-"
