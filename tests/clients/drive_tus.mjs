// Sends photos with tus-js-client, by the snippet of docs/resumable.md. The argument is JSON: which of the ways below,
// and what it is given. Prints as JSON what that way returns.

import { readFileSync } from "node:fs";
import * as tus from "tus-js-client";
import { sendPhoto } from "./snippet.mjs";

// With its answers as `<method> <status>`.
function started(path, options) {
  const answers = [];
  return new Promise((resolve, reject) => {
    const upload = new tus.Upload(readFileSync(path), {
      ...options,
      onAfterResponse: (request, response) => answers.push(`${request.getMethod()} ${response.getStatus()}`),
      onSuccess: () => resolve(answers),
      onError: reject,
    });
    upload.start();
  });
}

const ways = {
  // All of them side by side.
  snippet: ({ photos, ...given }) =>
    Promise.all(photos.map(({ path, ...photo }) => sendPhoto(readFileSync(path), { ...given, ...photo }))),

  // By options of tus-js-client's own.
  options: ({ path, options }) => started(path, options),

  // Another device sends the first half when this one is about to send it: its offset is wrong by then.
  overtaken: ({ path, options }) => {
    let isFirst = true;
    return started(path, {
      ...options,
      onBeforeRequest: async (request) => {
        if (request.getMethod() !== "PATCH" || !isFirst) return;
        isFirst = false;
        const content = readFileSync(path);
        await fetch(request.getURL(), {
          method: "PATCH",
          headers: {
            ...options.headers,
            "Tus-Resumable": "1.0.0",
            "Upload-Offset": "0",
            "Content-Type": "application/offset+octet-stream",
          },
          body: content.subarray(0, content.length / 2),
        });
      },
    });
  },
};

const { way, ...given } = JSON.parse(process.argv[2]);
ways[way](given).then(
  (result) => console.log(JSON.stringify(result)),
  (error) => {
    console.error(error.message);
    process.exitCode = 1;
  },
);
