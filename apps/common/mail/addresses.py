"""E-mail addresses: one form for each, so that two spellings are one account."""

import hashlib

import idna

LONGEST = 320  # octets, by RFC 5321


def one_form(address: str) -> str:
    """The address with its domain in IDNA's ASCII form and small letters: BÜCHER.example is xn--bcher-kva.example.

    What stands before the @ stays as it was written, and so does a text without one. A domain that IDNA does not know,
    such as one with an underscore, is put into small letters alone.
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
    """The same for addresses that commonly lead to one mailbox: case, dots and +tags before the @ make no difference.

    For counting mails alone, never for telling accounts apart.
    """
    local, _, domain = one_form(address).lower().rpartition("@")
    mailbox = local.partition("+")[0].replace(".", "")
    return hashlib.sha256(f"{mailbox or local}@{domain}".encode()).hexdigest()
