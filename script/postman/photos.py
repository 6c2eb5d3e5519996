"""Photos: in, repeated, refused."""

from script.postman import SAMPLE
from script.postman.fields import IMAGE, PAGE, TICKET, TICKET_STATUS, TICKET_WITH_SLOTS
from script.postman.items import folder, no_auth, request

# Bytes above 127 would not survive in a variable: Postman sends those as text, in UTF-8. JPEG and PNG begin with some;
# a bitmap can do without.
NEW_PHOTO = """
// A new picture for each request, 16 x 16 pixels in random colours. It is a bitmap, as that can be written with bytes
// below 128 alone: Postman sends a variable as text, which would change others. (And below 96 there are no braces.)
const word = (number) => String.fromCharCode(number & 255, number >> 8, 0, 0);
const pixels = Array.from({length: 16 * 16 * 3}, () => String.fromCharCode(Math.random() * 96)).join("");
const fileHeader = "BM" + word(0x336) + word(0) + word(54);
const pictureHeader = word(40) + word(16) + word(16) + "\\x01\\0\\x18\\0" + word(0) + word(0x300) + word(0).repeat(4);
const photo = fileHeader + pictureHeader + pixels;
pm.variables.set("photo", photo);
pm.variables.set("beginning", photo.slice(0, 400));
pm.variables.set("rest", photo.slice(400));
"""

DIGEST = """
const crypto = require("crypto-js");
const sha256 = crypto.SHA256(crypto.enc.Latin1.parse(pm.variables.get("photo")));
"""

QUEUED = {
    "it is queued": 'pm.expect(body.status).to.eql("queued")',
    "Location is its address": 'pm.expect(pm.response.headers.get("Location")).to.include(body.id)',
}
BARE = {"Content-Type": "image/bmp"}
POST = "POST tickets/{{ticketId}}/images/"
POST_TO_SET = "POST tickets/{{setTicketId}}/images/"
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = TUS | {"Content-Type": "application/offset+octet-stream"}
UPLOAD = "tickets/{{piecesTicketId}}/uploads/{{uploadId}}/"

UPLOADING = folder(
    "4. Post photos",
    """
    One request for each photo, as a form or as bare bytes, up to 10 MiB: JPEG, PNG, GIF, WebP, HEIC, AVIF, TIFF or BMP,
    whatever the file is called. 202 means that hopla has it and that the app can let go of it; the way to Cloudinary
    follows in the background, retries included. A refused photo takes no place. Chunked bodies
    are taken, too.

    So that they run anywhere, these requests need no file: a script before each makes a small picture. Folder 6 sends
    files of your own.
    """,
    request(
        "Post a photo as a form",
        POST,
        about="""
        `multipart/form-data` with one file in the field `image`: what the HTTP library of an app makes by itself. Here
        the script before the request writes it out, so that you see what goes over the wire.
        """,
        headers={"Content-Type": "multipart/form-data; boundary=photo-boundary"},
        before="""
        pm.variables.set("form", [
            "--photo-boundary",
            'Content-Disposition: form-data; name="image"; filename="kitchen.bmp"',
            "Content-Type: image/bmp",
            "",
            pm.variables.get("photo"),
            "--photo-boundary--",
            "",
        ].join("\\r\\n"));
        """,
        raw="{{form}}",
        status=202,
        has=IMAGE,
        tests=QUEUED | {"it keeps its name": 'pm.expect(body.filename).to.eql("kitchen.bmp")'},
        keeps={"imageId": "body.id"},
    ),
    request(
        "Post a photo as bare bytes",
        POST,
        about="""
        The photo is the body, `Content-Type` any `image/…`. Two headers make it safe on a bad network:

        - `Idempotency-Key`: a UUID for each photo, kept until the response. A repeat with the same key and bytes
          gets the same response as the first and takes no second place.
        - `Content-Digest`: `sha-256=:<base64>:` of the bytes (RFC 9530). Should they arrive changed, 400
          `digest_mismatch`.
        """,
        headers=BARE
        | {
            "Content-Disposition": 'attachment; filename="bath.bmp"',
            "Idempotency-Key": "{{photoKey}}",
            "Content-Digest": "sha-256=:{{digest}}:",
        },
        before=DIGEST
        + """
pm.collectionVariables.set("digest", sha256.toString(crypto.enc.Base64));
pm.collectionVariables.set("sha256", sha256.toString());
pm.collectionVariables.set("photoKey", pm.variables.replaceIn("{{$guid}}"));
pm.collectionVariables.set("sentPhoto", pm.variables.get("photo"));
""",
        raw="{{photo}}",
        status=202,
        has=IMAGE,
        tests=QUEUED
        | {
            "it keeps its name": 'pm.expect(body.filename).to.eql("bath.bmp")',
            "it has the bytes that were sent": 'pm.expect(body.sha256).to.eql(pm.variables.get("sha256"))',
        },
        keeps={"sentImageId": "body.id"},
    ),
    request(
        "The same photo again: no second place",
        POST,
        about="After a lost response: same key and bytes. The first response again, with `Idempotent-Replayed: true`.",
        headers=BARE | {"Idempotency-Key": "{{photoKey}}"},
        raw="{{sentPhoto}}",
        status=202,
        tests={
            "it is the same image": 'pm.expect(body.id).to.eql(pm.variables.get("sentImageId"))',
            "it says so": 'pm.expect(pm.response.headers.get("Idempotent-Replayed")).to.eql("true")',
        },
    ),
    request(
        "Another photo with the same key",
        POST,
        about="422: the app has mixed up its keys. (While the first is being received: 409 `idempotency_in_flight`.)",
        headers=BARE | {"Idempotency-Key": "{{photoKey}}"},
        raw="{{photo}}",
        status=422,
        code="idempotency_key_reused",
    ),
    request(
        "A photo that changed on its way",
        POST,
        about="The digest is of other bytes. Send the photo again.",
        headers=BARE | {"Content-Digest": "sha-256=:{{digest}}:"},
        raw="{{photo}}",
        status=400,
        code="digest_mismatch",
    ),
    request(
        "A text that is called a photo",
        POST,
        about="The content decides, not the name or the `Content-Type`: 415 `unsupported_image`.",
        headers={"Content-Type": "image/jpeg"},
        raw="I am a photo, believe me.",
        status=415,
        code="unsupported_image",
    ),
    request(
        "An empty form",
        POST,
        about="400 `image_missing`; an empty file is `image_empty`, two files are `one_image_per_request`.",
        headers={"Content-Type": "multipart/form-data; boundary=photo-boundary"},
        raw="--photo-boundary--",
        status=400,
        code="image_missing",
    ),
    request(
        "How many are missing",
        "GET tickets/{{ticketId}}/status/",
        about="The refusals took no place: one of three remains. After a restart of the app, this says where it was.",
        status=200,
        has=TICKET_STATUS,
        tests={
            "one place is left": "pm.expect(body.progress).to.include({received: 2, remaining: 1})",
            "it is in progress": 'pm.expect(body.status).to.eql("in_progress")',
        },
    ),
    request(
        "Post the last photo",
        POST,
        about="`position` is the order of arrival.",
        headers=BARE,
        raw="{{photo}}",
        status=202,
        has=IMAGE,
        tests=QUEUED | {"it is the third": "pm.expect(body.position).to.eql(3)"},
    ),
    request(
        "One photo too many",
        POST,
        about="""
        Every place is taken: 409 `ticket_full`, or `ticket_completed` when all photos are stored by now. Should one
        fail, its place is free again.
        """,
        headers=BARE,
        raw="{{photo}}",
        status=409,
        tests={"its code says why": 'pm.expect(body.code).to.be.oneOf(["ticket_full", "ticket_completed"])'},
    ),
    request(
        "Open a ticket with named places",
        "POST tickets/",
        about="""
        `slots` names the first places, in order; `num_images` may be left out then. One may be an object with `title`,
        `instructions`, `example_url` and `source` as well. `reference` is your own id, by which tickets are found.
        """,
        json={
            "slots": ["front", {"name": "odometer", "title": "The odometer, readable", "source": "camera"}],
            "reference": "ORDER-12",
            "metadata": {"branch": "Gdańsk"},
        },
        status=201,
        has=TICKET_WITH_SLOTS,
        tests={"all is missing": 'pm.expect(body.missing).to.eql(["front", "odometer"])'},
        keeps={"setTicketId": "body.id"},
    ),
    request(
        "Post the photo for a slot",
        POST_TO_SET,
        about="The slot is in the query, or in a form's field `slot`, before or after the photo.",
        query=(("slot", "odometer"),),
        headers=BARE,
        raw="{{photo}}",
        status=202,
        has=IMAGE,
        tests=QUEUED | {"it has the slot's place": 'pm.expect([body.slot, body.position]).to.eql(["odometer", 2])'},
    ),
    request(
        "The slot is taken",
        POST_TO_SET,
        about="One photo has the place; should it fail, the place is free again.",
        query=(("slot", "odometer"),),
        headers=BARE,
        raw="{{photo}}",
        status=409,
        code="slot_taken",
    ),
    request(
        "What is missing",
        "GET tickets/{{setTicketId}}/status/",
        about="`slots` says of each what is there: `missing`, `received` or `stored`, and the image's id.",
        status=200,
        has=TICKET_STATUS,
        tests={"the other one": 'pm.expect(body.missing).to.eql(["front"])'},
    ),
    request(
        "List the images",
        "GET tickets/{{ticketId}}/images/",
        about="In pages, by position.",
        status=200,
        has=PAGE,
        tests={
            "there are three": "pm.expect(body.count).to.eql(3)",
            "by position": "pm.expect(body.results.map((image) => image.position)).to.eql([1, 2, 3])",
            "ours is among them": "pm.expect(body.results.map((image) => image.id))"
            '.to.include(pm.variables.get("imageId"))',
        },
    ),
    request(
        "In pieces: open a ticket",
        "POST tickets/",
        about="Answer: `piecesTicketId`, for the photo that is sent in pieces.",
        json={"num_images": 1, "title": "On the train"},
        status=201,
        has=TICKET,
        keeps={"piecesTicketId": "body.id"},
    ),
    request(
        "In pieces: begin",
        "POST tickets/{{piecesTicketId}}/uploads/",
        about="""
        By tus 1.0.0, with any of its clients. The metadata has names with values in base64. Answer: `Location`, to
        send the bytes to; its last part is the id that the image will have.
        """,
        headers=TUS | {"Upload-Length": "822", "Upload-Metadata": "filename dHJhaW4uYm1w"},
        status=201,
        keeps={"uploadId": 'pm.response.headers.get("Location").split("/").slice(-2)[0]'},
    ),
    request(
        "In pieces: the first bytes",
        f"PATCH {UPLOAD}",
        about="The network may fail in the middle of it: what arrived is kept.",
        headers=BYTES | {"Upload-Offset": "0"},
        raw="{{beginning}}",
        status=204,
        tests={"they came": 'pm.expect(pm.response.headers.get("Upload-Offset")).to.eql("400")'},
    ),
    request(
        "In pieces: how far is it?",
        f"HEAD {UPLOAD}",
        about="After a failure: go on at `Upload-Offset`.",
        headers=TUS,
        status=200,
        tests={"as far as it came": 'pm.expect(pm.response.headers.get("Upload-Offset")).to.eql("400")'},
    ),
    request(
        "In pieces: the rest",
        f"PATCH {UPLOAD}",
        about="The last byte makes it an image, which has taken its place: `Content-Location` is its path.",
        headers=BYTES | {"Upload-Offset": "400"},
        raw="{{rest}}",
        status=204,
        tests={
            "it is an image": 'pm.expect(pm.response.headers.get("Content-Location"))'
            '.to.include(pm.variables.get("uploadId"))'
        },
    ),
    request(
        "In pieces: too late to take it back",
        f"DELETE {UPLOAD}",
        about="Only an unfinished upload can be taken back.",
        headers=TUS,
        status=403,
        code="upload_finished",
    ),
    request(
        "Straight to Cloudinary: begin",
        "POST tickets/{{piecesTicketId}}/direct-uploads/",
        about="""
        Where `DIRECT_UPLOADS` is on, 201 with a signed form, to be posted to Cloudinary with the photo; this ticket is
        full by now, so it is 409. Where it is off, 403 `direct_uploads_off`.
        """,
        json={"filename": "straight.bmp", "size": 822},
        status=403,
        after="""
        const isOff = pm.response.code === 403;
        pm.test("it is off, or the ticket is full", () =>
            pm.expect(pm.response.json().code).to.eql(isOff ? "direct_uploads_off" : "ticket_full"));
        """,
    ),
    request(
        "Straight to Cloudinary: confirm",
        "POST tickets/{{ticketId}}/images/{{imageId}}/confirm/",
        about="Cloudinary's answer, passed on. This photo came through hopla, so there is nothing to confirm.",
        json={"public_id": "hopla/{{imageId}}", "version": 1795255201, "signature": "bfd09f95f331f558"},
        status=409,
        code="not_a_direct_upload",
    ),
    request(
        "Straight to Cloudinary: take it back",
        "DELETE tickets/{{ticketId}}/direct-uploads/{{imageId}}/",
        about="Frees the place of one that does not go through. This photo came through hopla, so it is none.",
        status=404,
        code="not_found",
    ),
    request(
        "Straight to Cloudinary: what it tells hopla",
        "POST cloudinary/notifications/",
        about="Only what Cloudinary has signed is believed.",
        headers={"X-Cld-Timestamp": "1795255201", "X-Cld-Signature": "0000000000000000000000000000000000000000"},
        json={"notification_type": "upload"},
        auth=no_auth(),
        status=403,
        code="notification_signature_invalid",
    ),
    before=NEW_PHOTO,
)

OWN_FILES = folder(
    "6. Photos of your own",
    f"""
    The same with a real file. Choose one in Body, beside `image`. The file named there, `{SAMPLE}`, is found when
    Postman's working directory (Settings, General) or newman's is the folder of hopla's source code.
    """,
    request(
        "Open a ticket for one photo",
        "POST tickets/",
        about="Answer: `ownTicketId`, for the requests of this folder.",
        json={"num_images": 1, "title": "My own photo"},
        status=201,
        has=TICKET,
        keeps={"ownTicketId": "body.id"},
    ),
    request(
        "Post a photo file",
        "POST tickets/{{ownTicketId}}/images/",
        about="202 when a file is chosen and found, else 400 `image_missing` or `image_empty`.",
        file=SAMPLE,
        status=202,
        after="""
        // Without the file this cannot show anything: its tests are skipped then, and the run goes on.
        const isFileMissing = ["image_missing", "image_empty"].includes(pm.response.json().code);
        const test = isFileMissing ? pm.test.skip : pm.test;
        test("its status is 202", () => pm.response.to.have.status(202));
        test("it is queued", () => pm.expect(pm.response.json().status).to.eql("queued"));
        test("it keeps its name", () => pm.expect(pm.response.json().filename).to.be.a("string").that.is.not.empty);
        """,
    ),
    request(
        "Watch it",
        "GET tickets/{{ownTicketId}}/status/",
        about="Send it again until `status` is `completed`; folder 5 shows how an app does.",
        status=200,
        has=TICKET_STATUS,
    ),
)
