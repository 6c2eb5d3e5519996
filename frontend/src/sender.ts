// Sends what is on the shelf, two photos at a time, by tus: one that broke off goes on where the server says it is.
import { Upload, type DetailedError } from "tus-js-client";
import { base64Of } from "./digest";
import { headers } from "./server";
import type { Photo, Shelf } from "./shelf";
import { told, words } from "./words";

const AT_ONCE = 2;
const STALLED_MILLISECONDS = 30_000;
const WAIT_MILLISECONDS = [500, 1000, 2000, 5000, 10_000, 20_000];

// Another photo came first: there is nothing wrong with this one, and nobody needs it.
const CAME_SECOND = ["slot_taken", "ticket_full", "slot_required"];
const ENDED = ["ticket_completed", "ticket_cancelled", "ticket_expired"];

export interface Listener {
    changed(): void;
    sent(photo: Photo): void;
    refused(photo: Photo, reason: string, isGone: boolean): void;
    ended(code: string): void;
}

interface Sending {
    upload: Upload | null; // null while its bytes are being read
    bytes: number; // sent so far
    movedAt: number;
}

export class Sender {
    leads = false;
    reaches = true; // the server, the last time it was tried
    private sending = new Map<string, Sending>();
    private notBefore = new Map<string, number>();
    private tries = new Map<string, number>();
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
        const sending: Sending = { upload: null, bytes: 0, movedAt: Date.now() };
        this.sending.set(photo.id, sending);
        const bytes = await this.shelf.bytesOf(photo.id);
        if (this.sending.get(photo.id) !== sending) return;
        if (!bytes) return this.refuse(photo, words.unreadable);
        sending.upload = new Upload(new Blob([bytes], { type: photo.type }), {
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
                photo.url = sending.upload!.url;
                void this.shelf.update(photo);
            },
            onProgress: (sent) => {
                sending.bytes = sent;
                sending.movedAt = Date.now();
                this.reaches = true;
                if (sent) this.tries.delete(photo.id);
                this.listener.changed();
            },
            onSuccess: () => {
                this.sending.delete(photo.id);
                this.reaches = true;
                photo.sent = true;
                void this.shelf.update(photo);
                this.listener.sent(photo);
                this.pump();
            },
            onError: (error) => this.failed(photo, error as DetailedError),
        });
        sending.upload.start();
        this.listener.changed();
    }

    private failed(photo: Photo, error: DetailedError): void {
        this.sending.delete(photo.id);
        const response = error.originalResponse;
        const status = response?.getStatus() ?? 0;
        const { code = "", detail = "" } = problemIn(response?.getBody());
        this.reaches = status > 0;
        if (status === 401 || ENDED.includes(code)) return this.listener.ended(code);
        if (CAME_SECOND.includes(code)) return this.refuse(photo, words.taken, true);
        if (status === 404 || code === "upload_expired") {
            photo.url = null; // it begins anew
            void this.shelf.update(photo);
        } else if (status >= 400 && status < 500 && ![408, 409, 423, 425, 429, 460].includes(status)) {
            return this.refuse(photo, detail || words.unreadable);
        }
        const tries = this.tries.get(photo.id) ?? 0;
        this.tries.set(photo.id, tries + 1);
        const asked = Number(response?.getHeader("Retry-After")) * 1000 || 0;
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
        const upload = this.sending.get(id)?.upload;
        this.sending.delete(id);
        if (upload) void upload.abort();
    }

    private restartStalled(): void {
        const before = Date.now() - STALLED_MILLISECONDS;
        for (const [id, sending] of [...this.sending]) if (sending.movedAt < before) this.letGo(id);
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

function problemIn(body: string | undefined): { code?: string; detail?: string } {
    try {
        return JSON.parse(body ?? "") ?? {};
    } catch {
        return {};
    }
}
