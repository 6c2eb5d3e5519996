"""The support desk: a user asks, staff answer, freeze and close."""

from script.postman.fields import MESSAGE, PAGE, SUPPORT_TICKET
from script.postman.items import folder, number, request
from script.postman.staff import STAFF_TOKEN

ONE = "support/tickets/{{supportTicketId}}/"

SUPPORT = folder(
    "11. Support desk",
    """
    Users ask for help and read the answers in a thread. A support ticket is active (`AC`), frozen (`FR`: only staff
    write) or closed (`CL`: no user can write); only staff change that. Its owner gets an e-mail about every reply.
    """,
    request(
        "Ask for help",
        "POST support/tickets/",
        about="`ticket` may name an upload ticket of one's own that the question is about.",
        json={
            "title": "The third photo is upside down",
            "body_text": "It was not on my phone. Can you turn it?",
            "ticket": number("ticketId"),
        },
        status=201,
        has=SUPPORT_TICKET,
        tests={
            "it is active": 'pm.expect(body.status).to.eql("AC")',
            "it is about the ticket": 'pm.expect(String(body.ticket)).to.eql(String(pm.variables.get("ticketId")))',
            "it has no messages yet": "pm.expect(body.messages).to.eql([])",
        },
        keeps={"supportTicketId": "body.id"},
    ),
    request(
        "Ask about nothing",
        "POST support/tickets/",
        about="`title` and `body_text` are needed.",
        json={"title": "Help"},
        status=400,
        code="invalid",
        errors=(("body_text", "required"),),
    ),
    request(
        "List one's support tickets",
        "GET support/tickets/",
        about="""
        One's own; staff see all. Filters: `status`, `ticket`, `search`, `created_after`, `created_before`, `ordering`.
        """,
        query=(("status", "AC"), ("ticket", "{{ticketId}}")),
        status=200,
        has=PAGE,
        tests={
            "it is there": "pm.expect(body.results.map((ticket) => String(ticket.id)))"
            '.to.eql([String(pm.variables.get("supportTicketId"))])'
        },
    ),
    request(
        "Write a message",
        f"POST {ONE}messages/",
        about="The owner or staff; staff get to know by e-mail.",
        json={"text": "It is the one of the meter."},
        status=201,
        has=MESSAGE,
        tests={"it is not by staff": "pm.expect(body.is_staff).to.eql(false)"},
    ),
    request(
        "Staff answer",
        f"POST {ONE}messages/",
        about="The owner gets to know by e-mail.",
        auth=STAFF_TOKEN,
        json={"text": "Done. Please look again."},
        status=201,
        has=MESSAGE,
        tests={"it is by staff": "pm.expect(body.is_staff).to.eql(true)"},
    ),
    request(
        "Read the thread",
        f"GET {ONE}messages/",
        about="In pages, the oldest first.",
        status=200,
        has=PAGE,
        tests={"there are both": "pm.expect(body.results.map((message) => message.is_staff)).to.eql([false, true])"},
    ),
    request(
        "No more e-mails about it",
        f"POST {ONE}unsubscribe/",
        about="What the link in the e-mails does as well.",
        status=204,
    ),
    request(
        "E-mails again",
        f"POST {ONE}subscribe/",
        about="Only its owner can.",
        status=204,
    ),
    request(
        "Change the status as a common user",
        f"PATCH {ONE}",
        about="Only staff may: 403.",
        json={"status": "CL"},
        status=403,
        code="permission_denied",
    ),
    request(
        "Freeze it",
        f"PATCH {ONE}",
        about="`status`, and nothing else.",
        auth=STAFF_TOKEN,
        json={"status": "FR"},
        status=200,
        has=SUPPORT_TICKET,
        tests={"it is frozen": 'pm.expect(body.status).to.eql("FR")'},
    ),
    request(
        "Write on a frozen one",
        f"POST {ONE}messages/",
        about="409 for its owner; staff still can.",
        json={"text": "Thank you!"},
        status=409,
        code="support_ticket_frozen",
    ),
    request(
        "Close it",
        f"PUT {ONE}",
        about="PUT does what PATCH does.",
        auth=STAFF_TOKEN,
        json={"status": "CL"},
        status=200,
        has=SUPPORT_TICKET,
        tests={"it is closed": 'pm.expect(body.status).to.eql("CL")'},
    ),
    request(
        "Write on a closed one",
        f"POST {ONE}messages/",
        about="409 for everyone. Open another one.",
        json={"text": "One more thing."},
        status=409,
        code="support_ticket_closed",
    ),
    request(
        "Read it with its messages",
        f"GET {ONE}",
        about="The whole conversation in one response.",
        status=200,
        has=SUPPORT_TICKET,
        tests={
            "it is closed": 'pm.expect(body.status).to.eql("CL")',
            "it has both messages": "pm.expect(body.messages).to.have.lengthOf(2)",
        },
    ),
)
