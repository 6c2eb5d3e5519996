// Photos are kept on the phone before they are sent: phones end pages without a word, with the camera open above all.
//
// The bytes are ArrayBuffers, as Safari loses Blobs, and apart from the rest, as twenty photos at once are more than a
// phone has memory for. What cannot be kept, as in private mode, lives as long as the page does.
import { openDB, type DBSchema, type IDBPDatabase } from "idb";
import { newId } from "./digest";
import type { Direct } from "./direct";

export interface Photo {
    id: string; // made here; also the key by which the server knows a repeat
    ticket: string;
    slot: string; // "" of a place without a name
    place: number; // where it was taken; without a name the server chooses
    sha256: string;
    name: string;
    type: string;
    size: number;
    addedAt: number;
    url: string | null; // of its upload, once that has begun
    sent: boolean; // the server has all of it, or of a direct upload Cloudinary
    refusal: string | null; // why the server does not take it, as it said; then there are no bytes
    // Where direct uploads are on:
    md5?: string;
    direct?: Direct; // the one that has begun
    begun?: string[]; // the images of all that were, for one may come late
    takeBack?: string; // the image of one that is to be taken back first, as it holds the place
    through?: boolean; // it goes through hopla all the same
}

/** Of a direct upload only the server's word that it is stored ends the need for them. */
const needsNoBytes = (photo: Photo) => photo.refusal || (photo.sent && !photo.direct);

interface Schema extends DBSchema {
    photos: { key: string; value: Photo; indexes: { ticket: string } };
    bytes: { key: string; value: ArrayBuffer };
    leases: { key: string; value: { owner: string; until: number } };
}

const KEPT_MILLISECONDS = 30 * 24 * 60 * 60 * 1000;
const LEASE_MILLISECONDS = 6000;

export class Shelf {
    keeps = true; // all of them, so far
    changes = 0;
    private db: IDBPDatabase<Schema> | null = null;
    private memory = new Map<string, ArrayBuffer>();
    private me = newId();

    constructor(private ticket: string) {}

    async open(): Promise<void> {
        try {
            this.db = await this.connected();
            await this.forgetOld();
        } catch {
            this.db = null;
            this.keeps = false;
        }
    }

    /** The photos of this ticket that are kept, the oldest first; null if that cannot be known. */
    async list(): Promise<Photo[] | null> {
        const photos = await this.within((db) => db.getAllFromIndex("photos", "ticket", this.ticket));
        return photos?.sort((a, b) => a.addedAt - b.addedAt) ?? null;
    }

    async add(photo: Photo, bytes: ArrayBuffer): Promise<void> {
        this.changes++;
        const kept = await this.within(async (db) => {
            const step = db.transaction(["photos", "bytes"], "readwrite");
            await Promise.all([step.objectStore("photos").put(photo), step.objectStore("bytes").put(bytes, photo.id)]);
            await step.done;
            return true;
        });
        if (!kept) {
            this.keeps = false;
            this.memory.set(photo.id, bytes);
        }
        this.changes++;
    }

    /** Write what has become of a photo. One that another page has removed stays removed. */
    async update(photo: Photo): Promise<void> {
        if (this.memory.has(photo.id)) {
            if (needsNoBytes(photo)) this.memory.delete(photo.id);
            return;
        }
        this.changes++;
        await this.within(async (db) => {
            const step = db.transaction(["photos", "bytes"], "readwrite");
            if (await step.objectStore("photos").get(photo.id)) await step.objectStore("photos").put({ ...photo });
            if (needsNoBytes(photo)) await step.objectStore("bytes").delete(photo.id);
            await step.done;
        });
    }

    async bytesOf(id: string): Promise<ArrayBuffer | null> {
        return this.memory.get(id) ?? (await this.within((db) => db.get("bytes", id))) ?? null;
    }

    async remove(id: string): Promise<void> {
        this.changes++;
        this.memory.delete(id);
        await this.within(async (db) => {
            const step = db.transaction(["photos", "bytes"], "readwrite");
            await Promise.all([step.objectStore("photos").delete(id), step.objectStore("bytes").delete(id)]);
            await step.done;
        });
        this.changes++;
    }

    isInMemoryAlone(id: string): boolean {
        return this.memory.has(id);
    }

    /**
     * Whether this page is the one that sends: of several with the same photos one at a time. It is asked every two
     * seconds; a page that sleeps does not ask, and another takes its turn.
     */
    async takeLead(): Promise<boolean> {
        const leads = await this.within(async (db) => {
            const step = db.transaction("leases", "readwrite");
            const lease = await step.store.get(this.ticket);
            const now = Date.now();
            const mine = !lease || lease.owner === this.me || lease.until < now || lease.until > now + 60_000;
            if (mine) await step.store.put({ owner: this.me, until: now + LEASE_MILLISECONDS }, this.ticket);
            await step.done;
            return mine;
        });
        return leads ?? true; // what is not shared is this page's own
    }

    async leaveLead(): Promise<void> {
        await this.within(async (db) => {
            const step = db.transaction("leases", "readwrite");
            if ((await step.store.get(this.ticket))?.owner === this.me) await step.store.delete(this.ticket);
            await step.done;
        });
    }

    private connected(): Promise<IDBPDatabase<Schema>> {
        return openDB<Schema>("hopla-guest", 1, {
            upgrade(db) {
                db.createObjectStore("photos", { keyPath: "id" }).createIndex("ticket", "ticket");
                db.createObjectStore("bytes");
                db.createObjectStore("leases");
            },
        });
    }

    /** Runs once more with a new connection when the first was lost, as Safari's are in the background. */
    private async within<T>(work: (db: IDBPDatabase<Schema>) => Promise<T>): Promise<T | undefined> {
        if (!this.db) return undefined;
        try {
            return await work(this.db);
        } catch {
            try {
                this.db = await this.connected();
                return await work(this.db);
            } catch {
                return undefined;
            }
        }
    }

    private async forgetOld(): Promise<void> {
        const before = Date.now() - KEPT_MILLISECONDS;
        for (const photo of await this.db!.getAll("photos")) if (photo.addedAt < before) await this.remove(photo.id);
    }
}
