// Sends what is on the shelf, two photos at a time, by tus: one that broke off goes on where the server says it is. Where
// direct uploads are on they go to Cloudinary; what does not get there, for whatever reason, goes through hopla, too.
import { Upload, type DetailedError } from "tus-js-client";
import { base64Of } from "./digest";
import { type Answer, type Ask, isFinal, objectIn, request, sendDirectly, takeBack } from "./direct";
import { headers } from "./server";
import type { Photo, Shelf } from "./shelf";
import { told, words } from "./words";

const AT_ONCE = 2;
const STALLED_MILLISECONDS = 30_000;
const TRIES_OF_CLOUDINARY = 4; // while hopla can be reached
const MOST_FORMS = 5; // for one photo
const WAIT_MILLISECONDS = [500, 1000, 2000, 5000, 10_000, 20_000];

// Another photo came first: there is nothing wrong with this one, and nobody needs it.
const CAME_SECOND = ["slot_taken", "ticket_full", "slot_required"];
const ENDED = ["ticket_completed", "ticket_cancelled", "ticket_expired"];

export interface Listener {
    changed(): void;
    sent(photo: Photo): void;
    refused(photo: Photo, reason: string, isGone: boolean): void;
    ended(code: string): void;
    /** Ask the server once more, and return whether it answers. */
    asked(): Promise<boolean>;
    /** Whether a place that this photo could have is kept for another that has not come. */
    awaits(photo: Photo): boolean;
}

interface Sending {
    end: (() => void) | null; // null while its bytes are being read
    restart: (() => void) | null; // ends a request alone, so that what it was for fails and is tried again
    bytes: number; // sent so far
    movedAt: number;
}

export class Sender {
    leads = false;
    reaches = true; // the server, the last time it was tried
    private sending = new Map<string, Sending>();
    private notBefore = new Map<string, number>();
    private tries = new Map<string, number>();
    private unreached = new Map<string, number>(); // times that Cloudinary was not, by photo
    private isCloudCutOff = false;
    private timer = 0;
    private stopped = false;
    private wakeLock: { release(): Promise<void> } | null = null;

    constructor(
        private shelf: Shelf,
        private photos: Map<string, Photo>,
        private listener: Listener,
    ) {
        setInterval(() => this.restartStalled(), 5000);
    }

    bytesSent(photo: Photo): number | null {
        return this.sending.get(photo.id)?.bytes ?? null;
    }

    get isBusy(): boolean {
        return this.sending.size > 0;
    }

    /** Begin what may begin. Call it whenever something has changed. */
    pump(): void {
        clearTimeout(this.timer);
        // Some browsers take themselves for offline and are not: then one try shows it.
        if (this.stopped || !this.leads || (!navigator.onLine && !this.reaches)) return;
        let next = Infinity;
        for (const photo of this.photos.values()) {
            if (this.sending.size >= AT_ONCE) break;
            if (photo.sent || photo.refusal || this.sending.has(photo.id)) continue;
            const notBefore = this.notBefore.get(photo.id) ?? 0;
            if (notBefore <= Date.now()) void this.send(photo);
            else next = Math.min(next, notBefore);
        }
        if (next < Infinity) this.timer = window.setTimeout(() => this.pump(), next - Date.now() + 10);
        void this.stayAwake();
    }

    /** There is a network again, or somebody looks: no photo waits any longer. */
    hurry(): void {
        this.notBefore.clear();
        this.pump();
    }

    /** The network is gone, as the phone says. */
    lose(): void {
        this.reaches = false;
        this.pause();
    }

    /** Let go of all, for now. What has come stays at the server. */
    pause(): void {
        for (const id of [...this.sending.keys()]) this.letGo(id);
        this.listener.changed();
    }

    stop(): void {
        this.stopped = true;
        this.pause();
    }

    resume(): void {
        this.stopped = false;
        this.pump();
    }

    /** Another photo takes its place, or nobody needs it: the server forgets what has come of it. */
    async drop(photo: Photo): Promise<void> {
        this.letGo(photo.id);
        this.photos.delete(photo.id);
        await this.shelf.remove(photo.id);
        if (photo.url && !photo.sent) Upload.terminate(photo.url, { headers, retryDelays: [] }).catch(() => undefined);
    }

    private async send(photo: Photo): Promise<void> {
        const sending: Sending = { end: null, restart: null, bytes: 0, movedAt: Date.now() };
        this.sending.set(photo.id, sending);
        const bytes = await this.shelf.bytesOf(photo.id);
        if (this.sending.get(photo.id) !== sending) return;
        if (!bytes) return this.refuse(photo, words.unreadable);
        this.listener.changed();
        const isDirect = this.goesDirectly(photo);
        if (!isDirect && photo.direct) this.leave(photo);
        if (photo.takeBack && !(await this.isTakenBack(photo, sending))) return;
        if (isDirect) await this.sendDirectly(photo, bytes, sending);
        else this.sendByTus(photo, bytes, sending);
    }

    /** One that dies with this page does not: it would hold its place until the form ends, and nobody could send it. */
    private goesDirectly(photo: Photo): boolean {
        if (!told.direct || photo.through || photo.url || this.shelf.isInMemoryAlone(photo.id)) return false;
        return !this.isCloudCutOff || photo.direct !== undefined;
    }

    private async sendDirectly(photo: Photo, bytes: ArrayBuffer, sending: Sending): Promise<void> {
        const outcome = await sendDirectly(photo, bytes, this.askFor(photo, sending), () => this.shelf.update(photo));
        if (this.sending.get(photo.id) !== sending) return;
        if (outcome === "sent") {
            this.isCloudCutOff = false;
            this.succeeded(photo);
        } else if (outcome === "ended") this.sendAnew(photo, { through: false });
        else if (outcome === "refused") this.sendAnew(photo, { through: true });
        else if (outcome === "unreached") await this.missed(photo, sending);
        else if (isFinal(outcome.status) && !this.isJudged(outcome)) {
            this.sendAnew(photo, { through: outcome.status !== 404 }); // hopla looks itself, and has the last word
        } else await this.failed(photo, outcome);
    }

    /** Without Cloudinary's answer: is it Cloudinary that cannot be reached, or is there no network at all? */
    private async missed(photo: Photo, sending: Sending): Promise<void> {
        this.reaches = await this.listener.asked();
        if (this.sending.get(photo.id) !== sending) return;
        const times = (this.unreached.get(photo.id) ?? 0) + (this.reaches ? 1 : 0);
        this.unreached.set(photo.id, times);
        if (times < TRIES_OF_CLOUDINARY && !(this.isCloudCutOff && this.reaches)) return this.wait(photo);
        this.isCloudCutOff = true;
        this.sendAnew(photo, { through: true });
    }

    /** Its direct upload came to nothing: with another one, or through hopla. */
    sendAnew(photo: Photo, { through }: { through: boolean }): void {
        photo.through = through || (photo.begun ?? []).length >= MOST_FORMS;
        photo.sent = false;
        if (photo.through) this.tries.delete(photo.id); // hopla may have it at once
        this.letGo(photo.id);
        this.leave(photo);
        this.wait(photo);
    }

    private leave(photo: Photo): void {
        photo.takeBack = photo.direct?.image ?? photo.takeBack;
        photo.direct = undefined;
        void this.shelf.update(photo);
    }

    /** Whether its place is free, or can at least be asked for. */
    private async isTakenBack(photo: Photo, sending: Sending): Promise<boolean> {
        const answer = await takeBack(photo.takeBack!, this.askFor(photo, sending));
        if (this.sending.get(photo.id) !== sending) return false;
        if (answer.body.code === "upload_finished" && photo.begun?.includes(photo.takeBack!)) {
            this.succeeded(photo); // it has come after all
            return false;
        }
        if (![204, 403, 404].includes(answer.status)) {
            await this.failed(photo, answer);
            return false;
        }
        photo.takeBack = undefined;
        void this.shelf.update(photo);
        return true;
    }

    private askFor(photo: Photo, sending: Sending): Ask {
        return async (...what) => {
            if (this.sending.get(photo.id) !== sending) return { status: 0, body: {}, wait: 0 };
            const xhr = new XMLHttpRequest();
            sending.end = sending.restart = () => xhr.abort();
            sending.movedAt = Date.now();
            return request(xhr, (bytes) => this.progressed(photo, sending, bytes), ...what);
        };
    }

    private sendByTus(photo: Photo, bytes: ArrayBuffer, sending: Sending): void {
        const upload = new Upload(new Blob([bytes], { type: photo.type }), {
            endpoint: new URL(told.uploads, location.href).href,
            uploadUrl: photo.url,
            headers: {
                ...headers,
                "Idempotency-Key": photo.id,
                "Repr-Digest": `sha-256=:${base64Of(photo.sha256)}:`,
            },
            metadata: { filename: photo.name, filetype: photo.type, ...(photo.slot ? { slot: photo.slot } : {}) },
            retryDelays: [],
            storeFingerprintForResuming: false,
            onUploadUrlAvailable: () => {
                photo.url = upload.url;
                void this.shelf.update(photo);
            },
            onProgress: (sent) => {
                this.reaches = true;
                this.progressed(photo, sending, sent);
            },
            onSuccess: () => this.succeeded(photo),
            onError: (error) => {
                const response = (error as DetailedError).originalResponse;
                void this.failed(photo, {
                    status: response?.getStatus() ?? 0,
                    body: objectIn(response?.getBody()),
                    wait: Number(response?.getHeader("Retry-After")) * 1000 || 0,
                });
            },
        });
        sending.end = () => void upload.abort();
        sending.restart = null;
        upload.start();
    }

    private progressed(photo: Photo, sending: Sending, bytes: number): void {
        sending.bytes = bytes;
        sending.movedAt = Date.now();
        if (bytes) this.tries.delete(photo.id);
        this.listener.changed();
    }

    private succeeded(photo: Photo): void {
        this.sending.delete(photo.id);
        this.reaches = true;
        photo.sent = true;
        void this.shelf.update(photo);
        this.listener.sent(photo);
        this.pump();
    }

    /** Whether `failed` says more of it than that it is refused. */
    private isJudged({ status, body }: Answer): boolean {
        return status === 401 || [...CAME_SECOND, ...ENDED].includes(body.code);
    }

    private async failed(photo: Photo, { status, body, wait }: Answer): Promise<void> {
        const { code = "", detail = "" } = body;
        this.reaches = status > 0;
        if (CAME_SECOND.includes(code) && told.direct) {
            const sending = this.sending.get(photo.id);
            await this.listener.asked();
            if (!sending || this.sending.get(photo.id) !== sending) return; // the answer told what became of it
            if (this.listener.awaits(photo)) return this.wait(photo, wait);
        }
        this.sending.delete(photo.id);
        if (status === 401 || ENDED.includes(code)) return this.listener.ended(code);
        if (CAME_SECOND.includes(code)) return this.refuse(photo, words.taken, true);
        if (status === 404 || code === "upload_expired") {
            photo.url = null; // it begins anew
            void this.shelf.update(photo);
        } else if (isFinal(status)) {
            return this.refuse(photo, detail || words.unreadable);
        }
        this.wait(photo, wait);
    }

    private wait(photo: Photo, asked = 0): void {
        this.sending.delete(photo.id);
        const tries = this.tries.get(photo.id) ?? 0;
        this.tries.set(photo.id, tries + 1);
        const wait = Math.max(asked, WAIT_MILLISECONDS[Math.min(tries, WAIT_MILLISECONDS.length - 1)]);
        this.notBefore.set(photo.id, Date.now() + wait);
        this.listener.changed();
        this.pump();
    }

    private refuse(photo: Photo, reason: string, isGone = false): void {
        this.sending.delete(photo.id);
        if (isGone) {
            this.photos.delete(photo.id);
            void this.shelf.remove(photo.id);
        } else {
            photo.refusal = reason;
            void this.shelf.update(photo);
        }
        this.listener.refused(photo, reason, isGone);
        this.pump();
    }

    letGo(id: string): void {
        const end = this.sending.get(id)?.end;
        this.sending.delete(id);
        end?.();
    }

    private restartStalled(): void {
        for (const [id, { movedAt, restart }] of [...this.sending]) {
            const stalled = Date.now() - movedAt;
            if (stalled < STALLED_MILLISECONDS) continue;
            if (restart && stalled < 3 * STALLED_MILLISECONDS) restart();
            else this.letGo(id);
        }
        this.pump();
    }

    /** A phone that sleeps sends nothing. */
    private async stayAwake(): Promise<void> {
        const wakeLock = (navigator as { wakeLock?: { request(type: "screen"): Promise<any> } }).wakeLock;
        if (!wakeLock) return;
        if (this.isBusy && !this.wakeLock && document.visibilityState === "visible") {
            const lock = await wakeLock.request("screen").catch(() => null);
            lock?.addEventListener("release", () => (this.wakeLock = null));
            this.wakeLock = lock;
        } else if (!this.isBusy && this.wakeLock) {
            void this.wakeLock.release();
            this.wakeLock = null;
        }
    }
}
