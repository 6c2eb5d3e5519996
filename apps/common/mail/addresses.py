"""E-mail addresses: one form for each, so that two spellings are one account."""

import hashlib

import idna

LONGEST = 320  # octets, by RFC 5321


def one_form(address: str) -> str:
    """Return the address with its domain in IDNA's ASCII form and lower case: BÜCHER.example is xn--bcher-kva.example.

    The part before the @ stays as it was written, and so does a text without an @. A domain that IDNA does not allow,
    such as one with an underscore, is only put into lower case.
    """
    local, at, domain = address.rpartition("@")
    if not at or len(address) > LONGEST:
        return address
    try:
        domain = idna.encode(domain, uts46=True).decode()
    except UnicodeError:  # idna.IDNAError is one
        domain = domain.lower()
    return f"{local}@{domain}"


def mailbox_digest(address: str) -> str:
    """Return a digest that is the same for addresses that usually share a mailbox: case, dots and +tags do not count.

    Only for counting mails, never for identifying accounts.
    """
    local, _, domain = one_form(address).lower().rpartition("@")
    mailbox = local.partition("+")[0].replace(".", "")
    return hashlib.sha256(f"{mailbox or local}@{domain}".encode()).hexdigest()
