// Sends a photo to Cloudinary itself: with a form that hopla signs, which holds the photo's place until it ends. Each step
// is on the shelf before the next, so a page that ends between two of them goes on where it was.
//
// No clock is asked, as those of phones are wrong: Cloudinary says when a form has ended, and hopla what has come.
import { headers } from "./server";
import type { Photo } from "./shelf";
import { told } from "./words";

/** A direct upload that has begun, and what Cloudinary has signed of it once it has the photo. */
export interface Direct {
    image: string; // its id
    url: string;
    fields: Record<string, string>;
    answer: { public_id: string; version: number; signature: string } | null;
}

/** To one request. `status` is 0 if there was none; `body` is empty if it was no JSON; `wait` in milliseconds. */
export interface Answer {
    status: number;
    body: Record<string, any>;
    wait: number;
}

export type Ask = (method: string, url: string, body?: FormData | object, more?: Record<string, string>) => Promise<Answer>;

/** What became of it: `ended` of its form, `refused` for good, `unreached` of Cloudinary; or what hopla answered else. */
export type Outcome = "sent" | "ended" | "refused" | "unreached" | Answer;

const PASSES = [408, 409, 420, 423, 425, 429, 460];

export async function sendDirectly(photo: Photo, bytes: ArrayBuffer, ask: Ask, keep: () => Promise<void>): Promise<Outcome> {
    if (!photo.direct) {
        const { name, type, size, md5, slot } = photo;
        const about = { filename: name || "photo", content_type: type, size, md5, slot };
        // A repeat gets the same form, or another once its image has failed. By tus it is another request.
        const key = { "Idempotency-Key": `${photo.id}-direct` };
        const answer = await ask("POST", `${told.ticket}direct-uploads/`, about, key);
        if (answer.status !== 201) return answer;
        const { image, upload } = answer.body;
        photo.direct = { image: image.id, url: upload.url, fields: upload.fields, answer: null };
        photo.begun = [...(photo.begun ?? []), image.id];
        await keep();
    }
    const direct = photo.direct;
    if (!direct.answer) {
        const form = new FormData();
        for (const [name, value] of Object.entries(direct.fields)) form.append(name, value);
        form.append("file", new Blob([bytes], { type: photo.type }), "photo");
        const { status, body } = await ask("POST", direct.url, form);
        if (/stale/i.test(body.error?.message)) return "ended";
        if (isFinal(status)) return "refused";
        const { public_id, version, signature } = body; // of a photo that was there already, too
        if (status !== 200 || !signature) return "unreached";
        direct.answer = { public_id, version, signature };
        await keep();
    }
    const answer = await ask("POST", `${told.ticket}images/${direct.image}/confirm/`, direct.answer);
    if (answer.status === 400) {
        direct.answer = null; // it was not Cloudinary's
        await keep();
        return "unreached";
    }
    return answer.status === 200 || answer.status === 202 ? "sent" : answer;
}

/** Give back the place that an upload holds. What has come of it is removed. */
export function takeBack(image: string, ask: Ask): Promise<Answer> {
    return ask("DELETE", `${told.ticket}direct-uploads/${image}/`);
}

/** Whether it is of no use to send the same once more. */
export function isFinal(status: number): boolean {
    return status >= 400 && status < 500 && !PASSES.includes(status);
}

/** A request that never fails; `onProgress` is told the bytes of its body that were sent. An object goes to hopla. */
export function request(
    xhr: XMLHttpRequest,
    onProgress: (bytes: number) => void,
    ...[method, url, body, more = {}]: Parameters<Ask>
): Promise<Answer> {
    return new Promise((resolve) => {
        xhr.open(method, url);
        const isForm = body instanceof FormData;
        const all: Record<string, string> = isForm ? {} : { ...headers, "Content-Type": "application/json", ...more };
        for (const [name, value] of Object.entries(all)) xhr.setRequestHeader(name, value);
        if (isForm) xhr.upload.onprogress = (event) => onProgress(event.loaded);
        xhr.onloadend = () =>
            resolve({
                status: xhr.status,
                body: objectIn(xhr.responseText),
                wait: isForm ? 0 : Number(xhr.getResponseHeader("Retry-After")) * 1000 || 0,
            });
        xhr.send(isForm ? body : body && JSON.stringify(body));
    });
}

export function objectIn(text: string | undefined): Record<string, any> {
    try {
        return Object(JSON.parse(text ?? ""));
    } catch {
        return {};
    }
}
