"""What it costs to read lists, with 5 images a ticket and one owner of a tenth of the tickets: for each page the number
of queries, the milliseconds they took together (execution and transfer, seen from Django), and those of the request in
all, within one process and without a web server. The median of five requests.
"""

import json
import subprocess
import sys

from bench.results import Table
from bench.stage import Stage
from tests.faults.processes import ROOT

IMAGES_PER_TICKET = 5
PAGE_SIZE = 20
OTHERS = 90  # owners of the remaining tickets

TICKETS = """
    INSERT INTO {tickets} (owner_id, title, num_images, created_at, status {columns})
    SELECT CASE WHEN n % 10 = 0 THEN {owner} ELSE {first_other} + n % {others} END,
           'Flat ' || n, 5, now() - n * interval '20 seconds',
           (ARRAY['pending', 'in_progress', 'completed', 'completed', 'completed'])[1 + n / 10 % 5] {values}
    FROM generate_series(1, {number}) n ORDER BY n DESC
"""
HOPLA_IMAGES = """
    INSERT INTO tickets_image (id, ticket_id, position, status, filename, content_type, size, sha256, format, width,
           height, asset_id, asset_version, asset_format, attempts, error_code, error_detail, created_at, updated_at)
    SELECT gen_random_uuid(), t.id, n, 'stored', 'a.jpg', 'image/jpeg', 1000000, md5(t.id::text) || md5(n::text),
           'jpeg', 4000, 3000, md5(n::text), 1, 'jpg', 1, '', '', t.created_at, t.created_at
    FROM tickets_ticket t, generate_series(1, {each}) n
"""
TEXTBOOK_IMAGES = """
    INSERT INTO textbook_image (ticket_id, url, created_at)
    SELECT t.id, 'https://res.cloudinary.com/sandbox/a.jpg', t.created_at
    FROM textbook_ticket t, generate_series(1, {each}) n
"""


def measure(stage: Stage, options) -> list[Table]:
    contenders = {stage.textbook: TEXTBOOK_IMAGES, stage.hopla: HOPLA_IMAGES}
    for contender, images in contenders.items():
        fill(contender, images, tickets=options.tickets)
    titles = ("Queries", "Milliseconds in the database", "Milliseconds in all")
    tables = [Table(f"{title}, {options.tickets:,} tickets") for title in titles]
    for _ in range(options.rounds):
        for contender in contenders:
            for page, measured in read(contender, middle_page=options.tickets // 10 // PAGE_SIZE // 2).items():
                for table, value in zip(tables, measured, strict=True):
                    table.add(page, contender.name, value)
    return tables


def fill(contender, images: str, *, tickets: int) -> None:
    contender.start_web()
    assert contender.token  # creates the reader
    contender.web.stop()
    owner = contender.query(f"SELECT max(id) FROM {contender.tables['users']}")[0][0]
    copy_user(contender, owner)
    others = contender.other_ticket_columns
    contender.query(
        TICKETS.format(
            tickets=contender.tables["tickets"],
            owner=owner,
            first_other=owner + 1,
            others=OTHERS,
            number=tickets,
            columns="".join(f", {name}" for name in others),
            values="".join(f", {value}" for value in others.values()),
        )
    )
    contender.query(images.format(each=IMAGES_PER_TICKET))
    contender.query("VACUUM ANALYZE")


def copy_user(contender, owner: int) -> None:
    """OTHERS users like that one, with the ids after it."""
    table = contender.tables["users"]
    names = [
        row[0]
        for row in contender.query(
            f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
        )
    ]
    different = {"id": f"{owner} + n", "username": "'other-' || n", "email": "'other-' || n || '@example.com'"}
    values = ", ".join(different.get(name, f'"{name}"') for name in names)
    columns = ", ".join(f'"{name}"' for name in names)
    contender.query(
        f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE "
        f"SELECT {values} FROM {table}, generate_series(1, {OTHERS}) n WHERE id = {owner}"
    )


def read(contender, *, middle_page: int) -> dict[str, list[float]]:
    """(queries, ms in the database, ms in all) of each page, by bench/reader.py in a process of its own."""
    command = [sys.executable, "-m", "bench.reader", contender.name, contender.token, str(middle_page)]
    options = {"cwd": ROOT, "text": True, "capture_output": True}
    answer = subprocess.run(command, env=contender.environment, **options)
    if answer.returncode:
        raise RuntimeError(f"The pages could not be read:\n{answer.stderr[-3000:]}")
    return json.loads(answer.stdout)
