// The sha256 of a photo: by the browser, which does it only for pages that came by https, or else by a library. And the
// md5, which no browser does, and by which alone Cloudinary says what it has.
import { md5 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";

export async function digestOf(bytes: ArrayBuffer): Promise<string> {
    const digest = crypto.subtle
        ? new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))
        : sha256(new Uint8Array(bytes));
    return hexOf(digest);
}

export function md5Of(bytes: ArrayBuffer): string {
    return hexOf(md5(new Uint8Array(bytes)));
}

export function newId(): string {
    return hexOf(crypto.getRandomValues(new Uint8Array(16)));
}

export function base64Of(hex: string): string {
    return btoa(hex.replace(/../g, (pair) => String.fromCharCode(parseInt(pair, 16))));
}

function hexOf(bytes: Uint8Array): string {
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
