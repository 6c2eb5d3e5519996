"""What staff may, with the demo user of script/server."""

from script.postman.fields import PAGE, SESSION, TICKET
from script.postman.items import anonymous, folder, request, token

STAFF_TOKEN = token("staffToken")

STAFF = folder(
    "10. Staff",
    """
    With the account that the environment names in `staffUsername` and `staffPassword`. `script/server` makes one for
    development, `demo`; elsewhere name another, or leave this folder and the next one out.
    """,
    request(
        "Log in as staff",
        "POST auth/login/",
        about="As anyone does. `user.is_staff` tells an app what to show.",
        auth=anonymous(),
        json={"username": "{{staffUsername}}", "password": "{{staffPassword}}"},
        answers=200,
        has=SESSION,
        tests={"it is staff": "pm.expect(answer.user.is_staff).to.eql(true)"},
        keeps={"staffToken": "answer.token"},
    ),
    request(
        "Find a user",
        "GET auth/users/",
        about="`search` looks at username, e-mail address, name and phone.",
        auth=STAFF_TOKEN,
        query=(("search", "{{username}}"),),
        answers=200,
        has=PAGE,
        tests={
            "the user is found": "pm.expect(answer.results.map((user) => user.username))"
            '.to.eql([pm.variables.get("username")])',
            "no password is in the answer": 'pm.expect(pm.response.text()).to.not.include("password")',
        },
    ),
    request(
        "A user's tickets",
        "GET tickets/",
        about="Staff see everyone's tickets when they name the `owner`; without it, their own.",
        auth=STAFF_TOKEN,
        query=(("owner", "{{userId}}"),),
        answers=200,
        has=PAGE,
        tests={
            "the ticket is there": "pm.expect(answer.results.map((ticket) => String(ticket.id)))"
            '.to.include(String(pm.variables.get("ticketId")))'
        },
    ),
    request(
        "A user's ticket",
        "GET tickets/{{ticketId}}/",
        about="Staff may read any.",
        auth=STAFF_TOKEN,
        answers=200,
        has=(*TICKET, "images"),
    ),
)
