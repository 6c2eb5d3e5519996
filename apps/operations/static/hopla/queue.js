// The box in the head of a list of jobs ticks all of them.
"use strict";
const all = document.getElementById("action-toggle");
if (all) {
    all.addEventListener("change", () => {
        for (const box of document.querySelectorAll("tr input.action-select")) box.checked = all.checked;
    });
}
