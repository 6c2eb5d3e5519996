"""E-mails that are rows of a table, written with what they tell of, and sent exactly once by jobs.

A job sends a mail under its row's lock and marks it sent, so that a job that runs twice sends once. While the mail
server is unavailable the worker tries again, and in the end marks the mail failed. A mail may also be planned: then it
waits for its time, and is composed when that has come.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from smtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException

from django.core.mail import EmailMessage
from django.db import connection, models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.common.jobs.backoff import Backoff
from apps.common.jobs.queue import default_queue, jobs
from apps.common.observability.request_id import on_behalf_of

logger = logging.getLogger(__name__)

# 30 s, 1 min, 2 min … at most an hour apart: about a day in all.
BACKOFF = Backoff(base_seconds=30, cap_seconds=60 * 60)
MAX_ATTEMPTS = 30
# If the job is lost, the worker enqueues another after this time.
CHECK_AGAIN_AFTER = timedelta(seconds=60)
BATCH = 100


class EmailState(models.TextChoices):
    QUEUED = "queued", _("queued")
    SENT = "sent", _("sent")
    FAILED = "failed", _("failed")
    WITHHELD = "withheld", _("withheld")  # its address is not verified and got as many mails as it may today
    DROPPED = "dropped", _("not needed any more")


class OutgoingEmail(models.Model):
    """Base of the tables of e-mails. `request_id`: of the request that caused it, for log lines and the mail."""

    to = models.EmailField(_("to"))
    language = models.CharField(_("language"), max_length=8)
    state = models.CharField(_("state"), max_length=8, choices=EmailState, default=EmailState.QUEUED)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    error = models.CharField(_("error"), max_length=500, blank=True)
    due_at = models.DateTimeField(_("due at"), null=True)  # when it is enqueued again; null unless it is queued
    sent_at = models.DateTimeField(_("sent at"), null=True, editable=False)

    class Meta:
        abstract = True
        verbose_name = _("e-mail")
        verbose_name_plural = _("e-mails")

    def __str__(self):
        return self.to


class CannotBeComposedError(Exception):
    """The mail cannot be written, now or later. The text says why, for staff."""


@dataclass(frozen=True)
class Outbox:
    """The mails of one table.

    `job`: returns the job function of this outbox, which calls `send`. `compose`: returns the mail, or None if it is
    not needed any more; raises CannotBeComposedError. `may_be_sent`: whether the address may get this mail today.
    `related`: what both read with it, as `select_related` takes it.
    """

    model: type[OutgoingEmail]
    job: Callable[[], Callable[[int], None]]
    compose: Callable[[OutgoingEmail], EmailMessage | None]
    may_be_sent: Callable[[OutgoingEmail], bool]
    related: tuple[str, ...] = ()

    def post(self, **fields) -> OutgoingEmail:
        """Create a mail, sent after the commit. Call it in the transaction that creates what the mail tells of."""
        email = self.plan(timezone.now() + CHECK_AGAIN_AFTER, **fields)
        # Robust: with the queue unavailable what it tells of is kept, and the worker enqueues the mail later.
        transaction.on_commit(lambda: self.enqueue(email.pk), robust=True)
        return email

    def plan(self, due_at: datetime, **fields) -> OutgoingEmail:
        """Create a mail that is sent at that time."""
        return self.model.objects.create(due_at=due_at, **fields)

    def enqueue(self, email_id: int) -> None:
        default_queue().enqueue(self.job(), email_id, result_ttl=0)

    def send(self, email_id: int) -> None:
        """Send the mail if it is still queued. Safe to run twice and at the same time."""
        if not self._is_allowed(email_id):
            return
        with transaction.atomic():
            skip_locked = connection.features.has_select_for_update_skip_locked
            email = self._owed(email_id).select_for_update(skip_locked=skip_locked, of=("self",)).first()
            if email is None:
                return
            with on_behalf_of(email.request_id):
                self._attempt(email)
            email.save()

    def enqueue_due(self) -> int:
        """Enqueue the mails that are due, and return how many. The worker calls it every second."""
        now = timezone.now()
        owed = self.model.objects.filter(state=EmailState.QUEUED, due_at__lte=now)
        pks = list(owed.order_by("due_at").values_list("pk", flat=True)[:BATCH])
        # Postpone each before it is enqueued, so that two workers do not both take it.
        mine = [pk for pk in pks if owed.filter(pk=pk).update(due_at=now + CHECK_AGAIN_AFTER)]
        for pk in mine:
            self.enqueue(pk)
        return len(mine)

    def send_again(self, email_id: int) -> bool:
        """Queue the mail again, failed or not, with all its attempts. Returns False for one that was sent."""
        with transaction.atomic():
            owed = self.model.objects.filter(pk=email_id).exclude(state=EmailState.SENT)
            if not owed.update(state=EmailState.QUEUED, attempts=0, due_at=timezone.now() + CHECK_AGAIN_AFTER):
                return False
            transaction.on_commit(lambda: self.enqueue(email_id), robust=True)
        return True

    def _owed(self, email_id: int):
        owed = self.model.objects.filter(pk=email_id, state=EmailState.QUEUED)
        return owed.select_related(*self.related) if self.related else owed

    def _is_allowed(self, email_id: int) -> bool:
        """Whether its address may get another mail today. Not in a transaction that may be rolled back with its
        count.
        """
        owed = self._owed(email_id).first()
        if owed is None:
            return False
        if self.may_be_sent(owed):
            return True
        withheld = {"state": EmailState.WITHHELD, "due_at": None, "error": "not verified, and had its mails of the day"}
        self._owed(email_id).update(**withheld)
        logger.warning("%s: withheld, its address is not verified and has had its mails of the day", _name(owed))
        return False

    def _attempt(self, email: OutgoingEmail) -> None:
        email.attempts += 1
        try:
            with transaction.atomic():  # rolls back what composing a mail wrote that could not be sent
                mail = self.compose(email)
                if mail is not None:
                    with jobs.away():
                        mail.send()
        except CannotBeComposedError as error:
            _fail(email, error)
        except (SMTPException, OSError) as error:
            _postpone_or_fail(email, error)
        else:
            email.state, email.due_at, email.error = EmailState.SENT, None, ""
            if mail is None:
                email.state = EmailState.DROPPED
            else:
                email.sent_at = timezone.now()
            logger.info("%s: %s", _name(email), email.state.value)


def _name(email: OutgoingEmail) -> str:
    return f"e-mail {email.pk} ({email._meta.label})"


def _postpone_or_fail(email: OutgoingEmail, error: Exception) -> None:
    if email.attempts >= MAX_ATTEMPTS or _is_permanent(error):
        _fail(email, error)
        return
    seconds = BACKOFF.seconds_after(email.attempts)
    email.error = _told(error)
    email.due_at = timezone.now() + timedelta(seconds=seconds)
    logger.warning("%s: again in %s seconds, %s", _name(email), seconds, type(error).__name__)


def _fail(email: OutgoingEmail, error: Exception) -> None:
    email.state, email.due_at, email.error = EmailState.FAILED, None, _told(error)
    logger.error("%s: given up after %s attempts, %s", _name(email), email.attempts, type(error).__name__)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _is_permanent(error: Exception) -> bool:
    """Whether the server refused the mail for good (5xx), so that a retry is of no use."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    # A refused log-in (535) is a fault of our configuration, which can be mended before the next attempt.
    return isinstance(error, SMTPResponseException) and error.smtp_code >= 500 and error.smtp_code != 535
