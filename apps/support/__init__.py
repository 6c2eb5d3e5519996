"""The support desk: tickets with messages, and the e-mails about them."""
