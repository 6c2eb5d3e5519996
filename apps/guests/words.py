"""What the page's script tells, in the reader's language: it knows no words of its own."""

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps.guests.models import LinkState
from apps.guests.tiles import REASONS, STATES

# A number of each form that the plurals of CLDR have in our languages, by the name of the form.
EXAMPLES = {"one": 1, "few": 2, "many": 5, "other": 5}

# What the page says in the states in which it takes no photos, by LinkState.
ENDS = {
    LinkState.COMPLETED: (
        _("Everything has arrived. Thank you!"),
        _("You can close this page. There is nothing more for you to do."),
    ),
    LinkState.CANCELLED: (
        _("These photos are not needed any more"),
        _("Whoever asked for them has called it off. There is nothing for you to do."),
    ),
    LinkState.EXPIRED: (
        _("This link has expired"),
        _("Its time is over. If photos are still wanted, ask for a new link where you got this one."),
    ),
    LinkState.REVOKED: (
        _("This link was withdrawn"),
        _("It is no longer in use. If photos are still wanted, ask for a new link where you got this one."),
    ),
}


def words() -> dict:
    """Returns the words by their names in the script; those with a number by plural form, with `{number}` in them."""
    return {
        "states": {state: str(text) for state, text in STATES.items()},
        "reasons": {reason: str(text) for reason, text in REASONS.items()},
        "ends": {state: [str(title), str(text)] for state, (title, text) in ENDS.items()},
        "arrived": _by_form(_arrived),
        "kept_offline": _by_form(
            lambda n: ngettext(
                "Waiting for a network: {number} photo is kept on this phone.",
                "Waiting for a network: {number} photos are kept on this phone.",
                n,
            )
        ),
        "not_kept_offline": _by_form(
            lambda n: ngettext(
                "Waiting for a network: {number} photo is not sent yet. Leave this page open.",
                "Waiting for a network: {number} photos are not sent yet. Leave this page open.",
                n,
            )
        ),
        "sending": _by_form(
            lambda n: ngettext("Sending {number} photo: {percent} %.", "Sending {number} photos: {percent} %.", n)
        ),
        "elsewhere": _by_form(
            lambda n: ngettext(
                "{number} photo is being sent by another tab.", "{number} photos are being sent by another tab.", n
            )
        ),
        "unsent": _by_form(
            lambda n: ngettext(
                "{number} photo on this phone was not sent.", "{number} photos on this phone were not sent.", n
            )
        ),
        "too_many": _by_form(
            lambda n: ngettext(
                "There was no place left for {number} photo.", "There was no place left for {number} photos.", n
            )
        ),
        "take": gettext("Take the photo"),
        "choose": gettext("Choose one from the gallery"),
        "again": gettext("Take another"),
        "waiting": gettext("Waiting to be sent"),
        "reading": gettext("Getting it ready"),
        "being_sent": gettext("Being sent: {percent} %"),
        "checking": gettext("Sent, being checked"),
        "wanted_again": gettext("Another photo is wanted."),
        "failed": gettext("The photo could not be stored, please take it again."),
        "taken": gettext("Somebody else has sent this photo already. Thank you!"),
        "twice": gettext("This is the same photo once more, so it is not sent again."),
        "unreadable": gettext("The phone could not read this photo, please take it again."),
        "not_kept": gettext(
            "This browser keeps nothing on the phone, as in private mode. Leave this page open until everything has "
            "arrived."
        ),
        "trouble": gettext("The server does not answer. It is asked again and again by itself."),
        "complete_at": gettext("The set was complete on {when}."),
        "arrived_one": gettext("{title}: arrived"),
        "refused_one": gettext("{title}: not taken. {reason}"),
    }


def arrived(*, received: int, number: int) -> str:
    return _arrived(number).format(received=received, number=number)


def _arrived(number: int) -> str:
    return ngettext("{received} of {number} photo has arrived.", "{received} of {number} photos have arrived.", number)


def _by_form(of_number) -> dict[str, str]:
    return {form: of_number(number) for form, number in EXAMPLES.items()}
