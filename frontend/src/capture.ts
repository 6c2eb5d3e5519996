// The page where guests take photos. Without this script, or where a browser lacks what it needs, the page's plain
// forms do: nothing is changed before all of it has begun to work.
import { digestOf, md5Of, newId } from "./digest";
import { previewOf } from "./preview";
import { Sender } from "./sender";
import { changed, LinkEnded, type ServerImage, type ServerTicket } from "./server";
import { Shelf, type Photo } from "./shelf";
import { Tile, type Shown } from "./tile";
import { counted, filled, moment, told, words } from "./words";

const LOOK_MILLISECONDS = 2000;
const POLL_SOON = 2000;
const POLL_LATER = 8000;
const POLL_DONE = 30_000;
const WITHOUT_A_PLACE = ["failed", "rejected"];
const AWAITING = "awaiting_upload"; // a direct upload: its place is kept, and nothing has come
const HAVE_COME = ["stored", "rejected"]; // of direct uploads
const GIVEN_UP = "direct_upload_given_up"; // to be sent in another way, or another photo
const FORM_ENDED = ["direct_upload_expired", GIVEN_UP];

const photos = new Map<string, Photo>();
const previews = new Map<string, HTMLCanvasElement | null>(); // by sha256
const reading = new Set<number>(); // places whose photos are being read
const notes = new Map<number, string>(); // by place: what became of a photo that is gone
const shelf = new Shelf(told.ticket);
const sender = new Sender(shelf, photos, {
    changed: render,
    sent() {
        render();
        pollSoon();
    },
    refused(photo, reason, isGone) {
        const tile = tileOf(photo);
        if (isGone && tile) notes.set(tile.place, reason);
        announce(filled(words.refused_one, { title: tile?.title ?? "", reason }));
        render();
        pollSoon();
    },
    ended: endBy,
    async asked() {
        await polling; // that may have begun before what is asked about
        await poll();
        return answers;
    },
    awaits: (photo) => !answers || awaited().some((image) => !photo.slot || image.slot === photo.slot),
});

let tiles: Tile[] = [];
let server: ServerTicket | null = null;
let state = told.state;
let answers = true; // the server, the last time it was asked
let lost = 0; // photos for which there was no place
let pollTimer = 0;
let polling: Promise<void> | null = null;

async function start(): Promise<void> {
    await shelf.open();
    tiles = [...document.querySelectorAll<HTMLElement>(".tile")].map((element) => new Tile(element, take));
    document.documentElement.classList.add("js");
    for (const time of document.querySelectorAll("time")) time.textContent = moment(time.dateTime);
    await look();
    setInterval(() => void look(), LOOK_MILLISECONDS);
    addEventListener("online", wake);
    addEventListener("offline", () => sender.lose());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && wake());
    addEventListener("pageshow", wake);
    addEventListener("pagehide", () => void shelf.leaveLead());
    addEventListener("beforeunload", (event) => {
        if (unsent().some((photo) => shelf.isInMemoryAlone(photo.id))) event.preventDefault();
    });
    document.documentElement.dataset.ready = "";
    await poll();
}

function wake(): void {
    sender.hurry();
    render();
    pollSoon();
}

/** See what is on the shelf, where another tab may have put something, and whether it is for this one to send. */
async function look(): Promise<void> {
    if (document.visibilityState !== "visible" && !unsent().length && !sender.isBusy) return;
    const changes = shelf.changes;
    const listed = await shelf.list();
    if (listed && changes === shelf.changes) {
        const ids = new Set(listed.map((photo) => photo.id));
        for (const photo of listed) {
            const known = photos.get(photo.id);
            if (!known) photos.set(photo.id, photo);
            else if (!sender.leads) Object.assign(known, photo);
            if (!photo.refusal) void decode(photo);
        }
        for (const photo of [...photos.values()])
            if (!ids.has(photo.id) && !shelf.isInMemoryAlone(photo.id)) {
                sender.letGo(photo.id); // another tab has replaced it
                photos.delete(photo.id);
            }
    }
    const leads = state === "open" && (await shelf.takeLead()); // with another link another tab may go on
    if (!leads && sender.leads) sender.pause();
    sender.leads = leads;
    settle();
    sender.pump();
    render();
}

// --- Photos come in ---

async function take(tile: Tile, files: File[]): Promise<void> {
    const free = tile.slot ? [tile] : [tile, ...tiles.filter((each) => each !== tile && !each.slot && isFree(each))];
    notes.delete(tile.place);
    lost = Math.max(0, files.length - free.length);
    const pairs = files.slice(0, free.length).map((file, index) => [free[index], file] as const);
    for (const [each] of pairs) reading.add(each.place);
    render();
    for (const [each, file] of pairs) {
        await keep(each, file);
        reading.delete(each.place);
        render();
        sender.pump();
    }
}

async function keep(tile: Tile, file: File): Promise<void> {
    let bytes: ArrayBuffer;
    try {
        bytes = await file.arrayBuffer();
    } catch {
        notes.set(tile.place, words.unreadable);
        return;
    }
    const sha256 = await digestOf(bytes);
    const md5 = told.direct ? md5Of(bytes) : undefined;
    if (isKnown(tile, sha256, md5)) {
        notes.set(tile.place, words.twice);
        announce(filled(words.refused_one, { title: tile.title, reason: words.twice }));
        return;
    }
    const before = photoOf(tile);
    const photo: Photo = {
        id: newId(),
        ticket: told.ticket,
        slot: tile.slot,
        place: tile.place,
        sha256,
        name: file.name,
        type: file.type,
        size: bytes.byteLength,
        addedAt: Math.max(Date.now(), ...[...photos.values()].map((each) => each.addedAt + 1)),
        url: null,
        sent: false,
        refusal: null,
        ...(told.direct && { md5, takeBack: before?.direct?.image ?? before?.takeBack }),
    };
    await shelf.add(photo, bytes); // before a byte is sent
    if (before) await sender.drop(before);
    photos.set(photo.id, photo);
    notes.delete(tile.place);
    void decode(photo);
}

/** Whether these bytes are here or there already, for the same slot, or for any place without a name. */
function isKnown(tile: Tile, sha256: string, md5?: string): boolean {
    const here = [...photos.values()].some((each) => each.slot === tile.slot && each.sha256 === sha256 && !each.refusal);
    const there = holders().some((each) => (each.slot ?? "") === tile.slot && isOf(each, { sha256, md5 }));
    return here || there;
}

async function decode(photo: Photo): Promise<void> {
    if (previews.has(photo.sha256)) return;
    previews.set(photo.sha256, null);
    previews.set(photo.sha256, await previewOf(() => shelf.bytesOf(photo.id), photo.type));
    render();
}

// --- What the server has ---

function pollSoon(): void {
    clearTimeout(pollTimer);
    void poll();
}

function poll(): Promise<void> {
    return (polling ??= ask().finally(() => (polling = null)));
}

async function ask(): Promise<void> {
    try {
        const ticket = await changed();
        answers = true;
        if (!sender.reaches) {
            sender.reaches = true;
            sender.hurry();
        }
        if (ticket) hear(ticket);
    } catch (error) {
        if (error instanceof LinkEnded) endBy(error.code);
        else answers = false;
    }
    render();
    clearTimeout(pollTimer);
    if (document.visibilityState !== "visible") return; // it is asked again when somebody looks
    const moves = unsent().length > 0 || (server !== null && server.progress.received > server.progress.stored);
    pollTimer = window.setTimeout(poll, state !== "open" ? POLL_DONE : moves || !answers ? POLL_SOON : POLL_LATER);
}

function hear(ticket: ServerTicket): void {
    const before = server;
    server = ticket;
    if (before) for (const tile of tiles) tellArrival(tile, before, ticket);
    settle();
    const ends: Record<string, string> = { completed: "completed", cancelled: "cancelled", expired: "expired" };
    end(ends[ticket.status] ?? "open");
}

/** Of what the server has the phone needs nothing any more; nor of what another phone has sent, or nobody needs. */
function settle(): void {
    if (!server) return;
    const images = new Map(server.images.map((image) => [image.id, image]));
    for (const photo of [...photos.values()]) {
        const id = photo.url?.split("/").filter(Boolean).pop() ?? "";
        const isHere = (photo.begun ?? []).some((each) => HAVE_COME.includes(images.get(each)?.status ?? ""));
        const direct = images.get(photo.direct?.image ?? "");
        if (images.has(id) || isHere) {
            void sender.drop({ ...photo, sent: true });
            photos.delete(photo.id);
        } else if (sender.leads && !photo.refusal && direct?.status === "failed") {
            const hasEnded = FORM_ENDED.includes(direct.error?.code ?? "");
            sender.sendAnew(photo, { through: !hasEnded }); // hopla looks itself, and says why
        } else if ((!photo.sent || photo.direct) && (server.status === "completed" || photo.slot)) {
            const holder = holders().find((image) => image.slot === photo.slot && hasCome(image));
            if (server.status !== "completed" && !holder) continue;
            if (holder && !isOf(holder, photo) && !photo.refusal) notes.set(photo.place, words.taken);
            photos.delete(photo.id);
            void sender.drop(photo);
        }
    }
}

function tellArrival(tile: Tile, before: ServerTicket, now: ServerTicket): void {
    const holds = (ticket: ServerTicket) => hasCome(holderOf(tile, ticket));
    if (!holds(before) && holds(now)) announce(filled(words.arrived_one, { title: tile.title }));
}

function endBy(code: string): void {
    const ends: Record<string, string> = {
        guest_link_expired: "expired",
        guest_link_revoked: "revoked",
        guest_link_invalid: "revoked",
        ticket_expired: "expired",
        ticket_cancelled: "cancelled",
        ticket_completed: "completed",
    };
    end(ends[code] ?? "revoked");
    if (code.startsWith("ticket_")) pollSoon();
}

function end(now: string): void {
    if (now === state) return;
    state = now;
    if (state === "open") sender.resume();
    else {
        sender.stop();
        sender.leads = false;
        void shelf.leaveLead();
    }
    render();
    if (state !== "open") {
        part("end-title").focus();
        scrollTo(0, 0);
    }
}

// --- What is seen ---

function render(): void {
    document.body.dataset.state = state;
    part("wanted").hidden = state !== "open";
    part("end").hidden = state === "open";
    if (state !== "open") renderEnd();
    if (server) {
        const received = server.progress.received - awaited().length;
        put("arrived", counted(words.arrived, server.num_images, { received }));
        (part("meter") as HTMLProgressElement).value = received;
    }
    const loose = tilesOfLoosePhotos();
    for (const tile of tiles) tile.show(shownOf(tile, loose));
    renderLine();
    const warns = !shelf.keeps && state === "open";
    part("warning").hidden = !warns;
    if (warns) put("warning", words.not_kept);
}

function renderEnd(): void {
    const [title, text] = words.ends[state] ?? ["", ""];
    put("end-title", title);
    put("end-text", text);
    if (server?.completed_at) put("end-time", filled(words.complete_at, { when: moment(server.completed_at) }));
    part("end-time").hidden = state !== "completed";
    const number = state === "completed" ? 0 : unsent().length;
    part("end-unsent").hidden = number === 0;
    if (number) put("end-unsent", counted(words.unsent, number));
}

function renderLine(): void {
    const waiting = unsent();
    const isOffline = !sender.reaches;
    let text = "";
    if (state === "open" && waiting.length) {
        const isKept = !waiting.some((photo) => shelf.isInMemoryAlone(photo.id));
        if (isOffline) text = counted(isKept ? words.kept_offline : words.not_kept_offline, waiting.length);
        else if (!sender.leads) text = counted(words.elsewhere, waiting.length);
        else text = counted(words.sending, waiting.length, { percent: percentOfAll(waiting) });
    } else if (state === "open" && !answers) text = words.trouble;
    if (lost) text = [text, counted(words.too_many, lost)].join(" ");
    const line = part("line");
    if (isOffline && waiting.length && line.dataset.offline !== "yes") announce(text);
    line.dataset.offline = isOffline && waiting.length ? "yes" : "no";
    line.hidden = !text;
    put("line", text);
}

function percentOfAll(waiting: Photo[]): number {
    const all = waiting.reduce((sum, photo) => sum + photo.size, 0);
    const sent = waiting.reduce((sum, photo) => sum + (sender.bytesSent(photo) ?? 0), 0);
    return all ? Math.floor((100 * sent) / all) : 0;
}

function shownOf(tile: Tile, loose: Map<Tile, Photo>): Shown {
    const isOpen = state === "open";
    const holder = server ? holderOf(tile, server) : undefined;
    const shown: Shown = {
        state: "missing",
        percent: 0,
        trouble: [],
        thumbnail: null,
        preview: null,
        takes: isOpen,
    };
    const note = notes.get(tile.place);
    const photo = photoOf(tile, loose);
    if (holder && (hasCome(holder) || !photo)) {
        const isStored = holder.status === "stored";
        const preview = isStored ? null : (previews.get(holder.sha256 ?? "") ?? null);
        const trouble = note ? [note] : [];
        const thumbnail = holder.thumbnail_url;
        const now = isStored ? "stored" : hasCome(holder) ? "received" : "awaiting";
        return { ...shown, state: now, trouble, thumbnail, preview, takes: false };
    }
    if (reading.has(tile.place)) return { ...shown, state: "reading", takes: false };
    if (photo?.refusal) return { ...shown, state: "refused", trouble: [photo.refusal] };
    if (photo) {
        const preview = previews.get(photo.sha256) ?? null;
        const bytes = sender.bytesSent(photo);
        if (photo.sent) return { ...shown, state: "checking", preview, takes: false };
        // That the last byte has left the phone does not say that it has come.
        const percent = Math.min(99, Math.floor((100 * (bytes ?? 0)) / Math.max(1, photo.size)));
        return { ...shown, state: bytes === null ? "waiting" : "sending", percent, preview };
    }
    return { ...shown, trouble: note ? [note] : troubleOf(earlierAt(tile)) };
}

function troubleOf(earlier: ServerImage | undefined): string[] {
    if (earlier?.status === "rejected") {
        const { reason = "other", note = "" } = earlier.review ?? {};
        return [`${words.wanted_again} ${words.reasons[reason] ?? ""}`.trim(), ...(note ? [note] : [])];
    }
    if (earlier?.status === "failed") return [`${words.failed} ${earlier.error?.detail ?? ""}`.trim()];
    return [];
}

function holders(): ServerImage[] {
    return (server?.images ?? []).filter((image) => !WITHOUT_A_PLACE.includes(image.status));
}

function awaited(): ServerImage[] {
    return (server?.images ?? []).filter((image) => image.status === AWAITING);
}

function hasCome(holder: ServerImage | undefined): boolean {
    return holder !== undefined && holder.status !== AWAITING;
}

function isOf(image: ServerImage, photo: { sha256: string; md5?: string }): boolean {
    return image.sha256 ? image.sha256 === photo.sha256 : image.md5 !== null && image.md5 === photo.md5;
}

function holderOf(tile: Tile, ticket: ServerTicket): ServerImage | undefined {
    return ticket.images.find((each) => each.position === tile.place && !WITHOUT_A_PLACE.includes(each.status));
}

function earlierAt(tile: Tile): ServerImage | undefined {
    const at = (image: ServerImage) => image.position === tile.place && image.error?.code !== GIVEN_UP;
    return (server?.images ?? []).filter(at).pop();
}

function isFree(tile: Tile): boolean {
    return !(server && holderOf(tile, server)) && !photoOf(tile) && !reading.has(tile.place);
}

/** Photos for places without a name are shown where they were taken, or if the server has put another there, where it
 * is free: it gives them places in the order in which they come. */
function tilesOfLoosePhotos(): Map<Tile, Photo> {
    const at = new Map<Tile, Photo>();
    const holders = new Map(tiles.map((tile) => [tile, server ? holderOf(tile, server) : undefined]));
    // Of the free ones also those that are kept for a photo: for one of these, or in the end for any.
    const free = tiles.filter((tile) => !tile.slot && !hasCome(holders.get(tile)));
    free.sort((a, b) => Number(!!holders.get(a)) - Number(!!holders.get(b)));
    const rest: Photo[] = [];
    for (const photo of photos.values()) {
        if (photo.slot) continue;
        const own =
            free.find((tile) => photo.direct && holders.get(tile)?.id === photo.direct.image) ??
            free.find((tile) => tile.place === photo.place && !holders.get(tile));
        if (own && !at.has(own)) at.set(own, photo);
        else rest.push(photo);
    }
    for (const photo of rest) {
        const tile = free.find((each) => !at.has(each));
        if (tile) at.set(tile, photo);
    }
    return at;
}

function photoOf(tile: Tile, loose = tilesOfLoosePhotos()): Photo | undefined {
    if (!tile.slot) return loose.get(tile);
    return [...photos.values()].find((photo) => photo.slot === tile.slot);
}

function tileOf(photo: Photo): Tile | undefined {
    return tiles.find((tile) => tile.place === photo.place);
}

function unsent(): Photo[] {
    return [...photos.values()].filter((photo) => !photo.sent && !photo.refusal);
}

/** Say it to who cannot see the tiles change. */
function announce(text: string): void {
    const news = part("news");
    const line = document.createElement("span");
    line.textContent = `${text} `;
    news.append(line);
    while (news.childElementCount > 5) news.firstElementChild!.remove();
}

function part(id: string): HTMLElement {
    return document.getElementById(id)!;
}

function put(id: string, text: string): void {
    const element = part(id);
    if (element.textContent !== text) element.textContent = text;
}

void start();
