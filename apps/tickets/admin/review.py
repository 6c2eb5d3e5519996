"""Staff review the photos of a ticket: a page that shows them by place, a filter for those that wait.

The page works without JavaScript; static/hopla/review.js adds keys and a zoom.
"""

import re
from collections.abc import Iterator
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.text import capfirst, normalize_newlines
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps.common.admin.badge import badge
from apps.tickets.admin.parts import acting_as_staff, badge_of, uuid_in
from apps.tickets.admin.review_places import EARLIER_SHOWN, page_of_places
from apps.tickets.models import Ticket
from apps.tickets.models.image import REJECTION_NOTE_MAX_LENGTH
from apps.tickets.models.statuses import RejectionReason, TicketReview, TicketStatus
from apps.tickets.upkeep.review import Rejection, approve, request_retakes
from apps.tickets.upkeep.staff_actions import ActionNotAllowed

APPROVE, ASK = "approve", "ask"
WAITING = "waiting"
# The names of the fields about a photo, which AskForm makes of its prefix.
FIELD_OF_A_PHOTO = re.compile(r"([0-9a-f-]{36})-(?:marked|reason|note)")


class ReviewFilter(admin.SimpleListFilter):
    """What waits comes in the order in which it is to be reviewed, see `ReviewAdmin.get_ordering`."""

    title = _("review")
    parameter_name = "review"

    def lookups(self, request, model_admin):
        return [(WAITING, _("waits for review")), *TicketReview.choices]

    def queryset(self, request, queryset):
        if self.value() == WAITING:
            return queryset.filter(status=TicketStatus.COMPLETED, review="")
        # The comparison with "" lets the index serve, which leaves the many without a review out.
        return queryset.exclude(review="").filter(review=self.value()) if self.value() else queryset


class NoteField(forms.CharField):
    def to_python(self, value):
        """Returns it with the line breaks that its author's browser counted: it sends each as two characters."""
        return normalize_newlines(super().to_python(value))


class AskForm(forms.Form):
    """What is asked instead of one photo, or was begun to be asked."""

    marked = forms.BooleanField(required=False)
    reason = forms.ChoiceField(choices=RejectionReason, error_messages={"required": _("Choose a reason.")})
    note = NoteField(required=False, max_length=REJECTION_NOTE_MAX_LENGTH)

    @property
    def is_marked(self) -> bool:
        return bool(self["marked"].value())

    @property
    def told(self) -> dict:
        """Returns its errors, if it is marked: the others are not sent yet."""
        return self.errors if self.is_marked else {}


class ReviewForm(forms.Form):
    """A review of a ticket as the page sends it, with `asks`: the AskForm of each photo, by its id."""

    action = forms.ChoiceField(choices=[(APPROVE, APPROVE), (ASK, ASK)])
    seen_version = forms.IntegerField()
    expires_at = forms.DateTimeField(required=False)

    def __init__(self, data):
        super().__init__(data)
        ids = {match[1] for match in map(FIELD_OF_A_PHOTO.fullmatch, data) if match}
        self.asks = {UUID(each): AskForm(data, prefix=each) for each in sorted(ids) if uuid_in(each)}

    @property
    def marked(self) -> dict[UUID, AskForm]:
        return {image_id: ask for image_id, ask in self.asks.items() if ask.is_marked}

    def rejections(self) -> Iterator[Rejection]:
        for image_id, ask in self.marked.items():
            yield Rejection(image_id, ask.cleaned_data["reason"], ask.cleaned_data["note"])

    def clean(self):
        fields = super().clean()
        if fields.get("action") == APPROVE and self.marked:
            raise forms.ValidationError(_("Photos are marked: ask for another of them, or clear the marks."))
        if fields.get("action") == ASK and not all(ask.is_valid() for ask in self.marked.values()):
            raise forms.ValidationError(_("Say of each marked photo why you want another."))
        return fields

    def refusal(self) -> str:
        """Returns why it is not valid, in a sentence."""
        if "expires_at" in self.errors:
            return f"{capfirst(gettext('takes photos until'))}: {self.errors['expires_at'][0]}"
        return self.non_field_errors()[0] if self.non_field_errors() else gettext("Open this page again.")


class ReviewAdmin:
    """Mixed into the admin of tickets. Whoever may see tickets sees the page, whoever may change them decides."""

    def get_urls(self):
        page = self.admin_site.admin_view(self.review)
        return [path("<int:ticket_id>/review/", page, name="tickets_ticket_review"), *super().get_urls()]

    def get_ordering(self, request):
        if request.GET.get(ReviewFilter.parameter_name) == WAITING:
            return ("completed_at", "id")
        return super().get_ordering(request)

    @admin.display(description=_("review"))
    def reviewed(self, ticket):
        return review_badge(ticket)

    def review(self, request, ticket_id):
        if not self.has_view_permission(request):
            raise PermissionDenied
        ticket = Ticket.objects.select_related("owner").filter(pk=ticket_id).first()
        if ticket is None:
            raise Http404
        if request.method != "POST":
            return self._review_page(request, ticket)
        if not self.has_change_permission(request):
            raise PermissionDenied
        form = ReviewForm(request.POST)
        try:
            done = self._review_as(form, request, ticket)
        except ActionNotAllowed as refusal:
            return self._review_page(request, ticket, form, refusal=str(refusal))
        link = reverse("admin:tickets_ticket_review", args=[ticket.pk])
        back = format_html('<a href="{}">{}</a>', link, gettext("Ticket %(number)d") % {"number": ticket.pk})
        self.message_user(request, format_html("{}: {}", back, done), messages.SUCCESS)
        return HttpResponseRedirect(address_of_the_next(ticket))

    def _review_as(self, form: ReviewForm, request, ticket: Ticket) -> str:
        """Do what the form says, and return that in a sentence. Raises ActionNotAllowed."""
        if not form.is_valid():
            raise ActionNotAllowed(form.refusal())
        with acting_as_staff(request.user), transaction.atomic():
            if form.cleaned_data["action"] == APPROVE:
                approve(ticket.pk, seen_version=form.cleaned_data["seen_version"])
                done = gettext("Approved.")
            else:
                rejections = list(form.rejections())
                request_retakes(ticket.pk, rejections, expires_at=form.cleaned_data["expires_at"])
                number = len(rejections)
                done = ngettext("Asked for another photo.", "Asked for %(number)d other photos.", number)
                done %= {"number": number}
            self.log_change(request, ticket, done)
        return done

    def _review_page(self, request, ticket: Ticket, form: ReviewForm | None = None, *, refusal: str = ""):
        """The page, with what was typed if something was refused."""
        if form is not None:
            ticket.refresh_from_db()
        asks = form.asks if form else {}
        places, earlier_are_cut = page_of_places(ticket, number=request.GET.get("page"), asks=asks)
        may_review = self.has_change_permission(request)
        takes_asks = ticket.status in (TicketStatus.IN_PROGRESS, TicketStatus.COMPLETED)
        context = self.admin_site.each_context(request) | {
            "title": gettext("Review of %(ticket)s") % {"ticket": ticket},
            "opts": self.opts,
            "original": ticket,
            "is_nav_sidebar_enabled": False,  # the photos need the room
            "state": badge_of(ticket),
            "reviewed": review_badge(ticket),
            "progress": self.bar(ticket),
            "places": places,
            "earlier_are_cut": earlier_are_cut,
            "earlier_shown": EARLIER_SHOWN,
            "refusal": refusal,
            "may_review": may_review,
            "can_approve": may_review and ticket.waits_for_review,
            "can_ask": may_review and takes_asks,
            "can_mark": may_review and (takes_asks or bool(asks)),
            "reasons": RejectionReason.choices,
            "note_max_length": REJECTION_NOTE_MAX_LENGTH,
            "expires_at": form["expires_at"].value() if form else "",
            "next": address_of_the_next(ticket),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/review.html", context)


def review_badge(ticket: Ticket) -> str:
    if ticket.waits_for_review:
        return badge("waiting", gettext("waits for review"))
    return badge(ticket.review, ticket.get_review_display()) if ticket.review else "-"


def address_of_the_next(ticket: Ticket) -> str:
    """Returns the review page of the ticket that waits after this one, else of the one that waits the longest, else
    the list of those that wait.
    """
    waiting = Ticket.objects.waiting_for_review().exclude(pk=ticket.pk).values_list("pk", flat=True)
    found = None
    if (since := ticket.completed_at) is not None:
        later = Q(completed_at__gt=since) | Q(completed_at=since, pk__gt=ticket.pk)
        found = waiting.filter(later, completed_at__gte=since).first()
    found = found or waiting.first()
    if found:
        return reverse("admin:tickets_ticket_review", args=[found])
    return f"{reverse('admin:tickets_ticket_changelist')}?{ReviewFilter.parameter_name}={WAITING}"
