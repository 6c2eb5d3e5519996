// In a page: sends photos with Uppy, by the snippet of docs/resumable.md. Resolves to the errors.

import { uppyFor } from "./snippet.mjs";

window.send = async ({ photos, ...given }) => {
  const uppy = uppyFor(given);
  for (const { filename, base64 } of photos) {
    const data = new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type: "image/jpeg" });
    uppy.addFile({ name: filename, type: data.type, data });
  }
  const { failed } = await uppy.upload();
  return failed.map((file) => file.error);
};
