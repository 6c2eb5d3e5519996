// Small pictures of photos that are not stored yet: one is decoded at a time, and let go, or phones run out of memory.

const WIDTH = 240;
let last: Promise<unknown> = Promise.resolve();

/** A canvas with the photo, or null where the browser cannot show it, as of HEIC. */
export function previewOf(bytes: () => Promise<ArrayBuffer | null>, type: string): Promise<HTMLCanvasElement | null> {
    const next = last.then(async () => {
        try {
            const content = await bytes();
            return content && (await drawn(new Blob([content], { type })));
        } catch {
            return null;
        }
    });
    last = next;
    return next;
}

async function drawn(blob: Blob): Promise<HTMLCanvasElement> {
    const picture = await createImageBitmap(blob, { resizeWidth: WIDTH, resizeQuality: "low" });
    const canvas = document.createElement("canvas");
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.getContext("2d")!.drawImage(picture, 0, 0);
    picture.close();
    return canvas;
}
