// What the server has, asked by polls that cost it little: the status by its ETag, and the whole when that is new.
import { language, told, token } from "./words";

export interface ServerImage {
    id: string;
    position: number;
    slot: string | null;
    status: string;
    sha256: string | null;
    md5: string | null; // of a direct upload, which has no sha256
    thumbnail_url: string | null;
    review: { reason: string; note: string } | null;
    error: { code: string; detail: string } | null;
}

export interface ServerTicket {
    status: string;
    num_images: number;
    completed_at: string | null;
    progress: { received: number; stored: number };
    images: ServerImage[];
}

export const headers = { Authorization: `Guest ${token}`, "Accept-Language": language };

/** The link is good for nothing any more, by the code that the server gave. */
export class LinkEnded extends Error {
    constructor(public code: string) {
        super(code);
    }
}

const SECONDS = 20; // a phone that changes networks may wait for ever
let etag = "";

/** The ticket, or null when nothing has changed. Throws LinkEnded, and any other error when there is no answer. */
export async function changed(): Promise<ServerTicket | null> {
    const status = await ask(told.status, etag ? { "If-None-Match": etag } : {});
    if (status.status === 304) return null;
    const whole = await ask(told.ticket);
    const ticket = await whole.json();
    etag = whole.headers.get("ETag") ?? "";
    return ticket;
}

async function ask(path: string, more: Record<string, string> = {}): Promise<Response> {
    const end = new AbortController();
    const timer = setTimeout(() => end.abort(), SECONDS * 1000);
    try {
        const response = await fetch(path, { headers: { ...headers, ...more }, cache: "no-store", signal: end.signal });
        if (response.status === 401) throw new LinkEnded((await response.json()).code);
        if (!response.ok && response.status !== 304) throw new Error(String(response.status));
        return response;
    } finally {
        clearTimeout(timer);
    }
}
