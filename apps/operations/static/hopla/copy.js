// A button copies the text of the input that it names. Without a clipboard there is no button; the text can be selected.
"use strict";
for (const button of document.querySelectorAll("button[data-copies]")) {
    const input = document.getElementById(button.dataset.copies);
    input.addEventListener("focus", () => input.select());
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(input.value);
        button.textContent = button.dataset.done;
    });
}
