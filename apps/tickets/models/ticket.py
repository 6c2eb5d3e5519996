"""A declared set of photos: its owner, whether it takes photos, and its lock.

Code that needs both locks takes the ticket's first, then the image's.
"""

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import connection, models
from django.db.models import Count, F, Q, Value
from django.db.models.functions import Upper
from django.db.transaction import TransactionManagementError
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from apps.common.db.compiled_queries import CompiledQuery, Parameter, columns_of, instance_of, update
from apps.common.db.indexes import NullsLastIndex
from apps.tickets.models.progress import Progress
from apps.tickets.models.statuses import OPEN_TICKET, TicketReview, TicketStatus

# The fields by which a list of tickets is filtered, besides the owner.
FILTERED_BY = ["status", "created_at"]


class TicketQuerySet(models.QuerySet):
    def visible_to(self, user):
        """Returns the tickets this user may read: the user's own, and for staff all."""
        return self if user.is_staff else self.owned_by(user)

    def owned_by(self, user):
        return self.filter(owner_id=user.pk)

    def waiting_for_review(self):
        """Returns the completed tickets that staff have not reviewed, the one that waits the longest first."""
        return self.filter(status=TicketStatus.COMPLETED, review="").order_by("completed_at", "id")

    def mentioning(self, text: str):
        """Returns the tickets with this text in their title or description, ignoring case."""
        if connection.vendor != "postgresql":
            return self.filter(Q(title__icontains=text) | Q(description__icontains=text))
        # A number is rarer than the words beside it; looking it up first saves the index half of its work.
        numbers = [word for word in text.split() if len(word) > 2 and word != text and any(map(str.isdigit, word))]
        found = self
        for each in (*numbers, text):
            found = found.filter(search_text__text__contains=Upper(Value(each)))
        return found

    def lock(self, ticket_id) -> "Ticket":
        """Returns the ticket, locked until the transaction ends. Raises Ticket.DoesNotExist; needs an open transaction.

        PostgreSQL: NO KEY UPDATE, so that rows pointing at the ticket can be written meanwhile. SQLite has no row
        locks; there the transaction itself is the lock (BEGIN IMMEDIATE, see settings).
        """
        if not connection.in_atomic_block:
            raise TransactionManagementError("a lock needs a transaction to last for")
        row = _LOCKED_TICKET.first(ticket_id=ticket_id)
        if row is None:
            raise Ticket.DoesNotExist
        return instance_of(Ticket, row)


class Ticket(models.Model):
    """A declared set of `num_images` photos; `completed` exactly when that many are stored."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="tickets",
        db_index=False,  # the composite indexes below begin with it
        verbose_name=_("owner"),
    )
    title = models.CharField(_("title"), max_length=200, blank=True)
    description = models.TextField(_("description"), max_length=5000, blank=True)
    # Copied when it is opened, so that later changes of the kind change no ticket; "" and 0 of one without a kind.
    kind = models.CharField(_("kind"), max_length=64, blank=True, default="", db_default="", editable=False)
    kind_version = models.PositiveIntegerField(_("version of the kind"), default=0, db_default=0, editable=False)
    instructions = models.TextField(_("instructions"), blank=True, default="", db_default="", editable=False)
    num_images = models.PositiveIntegerField(_("declared photos"), validators=[MinValueValidator(1)])
    # The integrator's own: found by the one, shown and never interpreted the other.
    reference = models.CharField(_("reference"), max_length=100, blank=True, default="", db_default="")
    metadata = models.JSONField(_("metadata"), default=dict, db_default={}, editable=False)
    # The names of the first places and what is told of them, see slots.py. Never changed.
    slots = models.JSONField(_("slots"), default=list, db_default=[], editable=False)
    status = models.CharField(_("status"), max_length=16, choices=TicketStatus, default=TicketStatus.PENDING)
    review = models.CharField(
        _("review"), max_length=16, choices=TicketReview, blank=True, default="", db_default="", editable=False
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now, editable=False)
    completed_at = models.DateTimeField(_("completed at"), null=True, editable=False)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    # Raised with every change a reader can see, under the ticket's lock: the ETag contains it.
    version = models.PositiveIntegerField(default=1, editable=False)

    objects = TicketQuerySet.as_manager()

    class Meta:
        verbose_name = _("ticket")
        verbose_name_plural = _("tickets")
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index("owner", "status", F("created_at").desc(), F("id").desc(), name="ticket_owner_status_newest"),
            # Each ordering that the API offers. The filtered columns are included: filtering 100,000 tickets takes 7 ms
            # in the index, and 50 to 100 ms in the table. With an index of updated_at, each photo makes PostgreSQL
            # rewrite every index of its ticket, 0.06 ms; without it, finding the newest of 100,000 takes 100 ms.
            models.Index(
                "owner", F("created_at").desc(), F("id").desc(), include=["status"], name="ticket_owner_by_created"
            ),
            models.Index(fields=["owner", "num_images", "id"], include=FILTERED_BY, name="ticket_owner_by_num_images"),
            models.Index(fields=["owner", "updated_at", "id"], include=FILTERED_BY, name="ticket_owner_by_updated"),
            models.Index(fields=["owner", "completed_at", "id"], include=FILTERED_BY, name="ticket_owner_by_completed"),
            # Nulls come last here too, so that this is not the index above in reverse.
            NullsLastIndex(
                "owner",
                F("completed_at").desc(nulls_last=True),
                F("id").desc(),
                include=FILTERED_BY,
                name="ticket_owner_by_completed_last",
            ),
            # Without the many that have none.
            models.Index(
                "reference",
                "owner",
                F("created_at").desc(),
                F("id").desc(),
                condition=~Q(reference=""),
                name="ticket_reference",
            ),
            # Of everyone's, for staff.
            models.Index(F("created_at").desc(), F("id").desc(), name="ticket_newest"),
            models.Index("status", F("created_at").desc(), F("id").desc(), name="ticket_status_newest"),
            # The reconciler looks for tickets to expire every second.
            models.Index(
                fields=["expires_at"], condition=Q(status__in=["pending", "in_progress"]), name="ticket_to_expire"
            ),
            # Staff take the one that waits the longest.
            models.Index(
                fields=["completed_at", "id"], condition=Q(status="completed", review=""), name="ticket_to_review"
            ),
            models.Index(
                "review", F("created_at").desc(), F("id").desc(), condition=~Q(review=""), name="ticket_reviewed"
            ),
        ]

    def __str__(self):
        return self.title or f"#{self.pk}"

    @property
    def takes_photos(self) -> bool:
        return self.status in OPEN_TICKET

    @property
    def waits_for_review(self) -> bool:
        return self.status == TicketStatus.COMPLETED and not self.review

    @property
    def is_overdue(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    def slot_at(self, position: int) -> str | None:
        """The name of this place, if it has one."""
        return self.slots[position - 1]["name"] if position <= len(self.slots) else None

    def position_of(self, slot: str) -> int | None:
        """The place of this name."""
        return next((position for position, each in enumerate(self.slots, 1) if each["name"] == slot), None)

    def progress(self) -> Progress:
        """Returns the progress, counted in the database now. For many tickets use `progress_of`, one query for all."""
        return Progress.of(self, dict(_IMAGES_BY_STATUS.rows(ticket_id=self.pk)))

    @property
    def etag(self) -> str:
        """Returns a strong ETag of the ticket in the active language: the same for every reader, and a new one after
        every change that a reader can see.
        """
        return f'"{self.pk}-{self.version}-{get_language()}"'

    def touch(self, **changes) -> None:
        """Write the changes and raise the version. The ticket must come from `lock`, in the same transaction. To change
        the status see lifecycle/moves.py.
        """
        update(self, **changes, version=self.version + 1, updated_at=timezone.now())


def _locked_ticket():
    no_key = connection.features.has_select_for_no_key_update
    ticket = Ticket.objects.filter(pk=Parameter("ticket_id", models.BigIntegerField()))
    return ticket.select_for_update(no_key=no_key).values_list(*columns_of(Ticket))


def _images_by_status():
    ticket = Ticket.objects.filter(pk=Parameter("ticket_id", models.BigIntegerField())).order_by()
    return ticket.values_list("images__status").annotate(number=Count("images"))


_LOCKED_TICKET = CompiledQuery(_locked_ticket)
_IMAGES_BY_STATUS = CompiledQuery(_images_by_status)
