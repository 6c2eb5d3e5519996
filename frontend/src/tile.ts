// One tile: what its elements show, and the fields by which photos come in.
import { filled, words } from "./words";

export type State = "missing" | "awaiting" | "received" | "stored" | "reading" | "waiting" | "sending" | "checking" | "refused";

export interface Shown {
    state: State;
    percent: number;
    trouble: string[]; // in lines: the last may be a note of staff
    thumbnail: string | null;
    preview: HTMLCanvasElement | null;
    takes: boolean; // a photo
}

export class Tile {
    readonly place: number;
    readonly slot: string;
    readonly title: string;
    private shown = "";
    private form: HTMLFormElement | null;
    private bar = document.createElement("progress");
    private takeLabel: HTMLElement | null = null;

    constructor(
        readonly element: HTMLElement,
        private onFiles: (tile: Tile, files: File[]) => void,
    ) {
        this.place = Number(element.dataset.place);
        this.slot = element.dataset.slot ?? "";
        this.title = this.part("h2").textContent ?? "";
        this.form = element.querySelector("form");
        this.bar.max = 100;
        this.bar.hidden = true;
        this.bar.setAttribute("aria-label", this.title);
        this.part(".state").after(this.bar);
        if (!this.form) this.form = this.newForm();
        this.prepare(this.form);
    }

    show(shown: Shown): void {
        const { preview, percent, ...rest } = shown;
        const now = JSON.stringify([rest, percent, preview !== null]);
        if (now === this.shown) return; // or screen readers would read it again and again
        this.shown = now;
        this.element.dataset.state = shown.state;
        const state = this.part(".state");
        state.textContent = words.states[shown.state as "missing"] ?? this.inWords(shown);
        this.bar.hidden = shown.state !== "sending";
        this.bar.value = percent;
        const trouble = this.part(".trouble");
        trouble.hidden = shown.trouble.length === 0;
        const lines = shown.trouble.join("\n");
        if (trouble.dataset.lines !== lines) {
            trouble.dataset.lines = lines;
            trouble.replaceChildren(...shown.trouble.map((line) => paragraph(line)));
        }
        this.showPicture(shown.thumbnail, preview);
        this.form!.hidden = !shown.takes;
        const isFirst = shown.state === "missing" && shown.trouble.length === 0;
        this.takeLabel!.textContent = isFirst ? words.take : words.again;
        this.form!.classList.toggle("quiet", shown.state === "waiting" || shown.state === "sending");
    }

    private inWords(shown: Shown): string {
        if (shown.state === "sending") return filled(words.being_sent, { percent: shown.percent });
        const texts: Record<string, string> = {
            reading: words.reading,
            waiting: words.waiting,
            checking: words.checking,
            refused: words.states.missing,
        };
        return texts[shown.state];
    }

    private showPicture(thumbnail: string | null, preview: HTMLCanvasElement | null): void {
        const picture = this.part(".picture");
        const old = picture.querySelector<HTMLElement>(".photo");
        if (thumbnail) {
            if (old instanceof HTMLImageElement && old.src === thumbnail) return;
            const image = document.createElement("img");
            image.className = "photo";
            image.alt = this.title;
            image.onload = () => old?.remove();
            image.onerror = () => image.remove(); // what was there before stays
            image.src = thumbnail;
            picture.append(image);
        } else if (preview) {
            if (old === preview) return;
            old?.remove();
            preview.className = "photo";
            preview.setAttribute("role", "img");
            preview.setAttribute("aria-label", this.title);
            picture.append(preview);
        } else {
            old?.remove();
        }
    }

    /** The plain form becomes one or two buttons: the camera, and the gallery where the place allows any photo. */
    private prepare(form: HTMLFormElement): void {
        form.addEventListener("submit", (event) => event.preventDefault());
        const camera = form.querySelector<HTMLLabelElement>("label")!;
        const input = camera.querySelector("input")!;
        this.takeLabel = camera.querySelector("span")!.firstChild as unknown as HTMLElement;
        const text = document.createElement("span");
        this.takeLabel.replaceWith(text);
        this.takeLabel = text;
        if (this.element.dataset.source !== "camera") {
            const gallery = camera.cloneNode(true) as HTMLLabelElement;
            gallery.classList.add("choose");
            gallery.querySelector("span")!.firstElementChild!.textContent = words.choose;
            const chosen = gallery.querySelector("input")!;
            chosen.removeAttribute("capture");
            chosen.multiple = !this.slot; // several at once go to the next places, too
            camera.after(gallery);
            this.listen(chosen);
        }
        input.setAttribute("capture", "environment");
        this.listen(input);
    }

    private listen(input: HTMLInputElement): void {
        input.required = false;
        input.addEventListener("change", () => {
            const files = [...(input.files ?? [])];
            if (files.length) this.onFiles(this, files);
            input.value = ""; // the same file once more is a change, too
        });
    }

    /** Of a place that had a photo as the page was made; another may be wanted later. */
    private newForm(): HTMLFormElement {
        const form = document.createElement("form");
        form.innerHTML =
            '<label class="take"><span> <span class="aside"></span></span>' +
            '<input type="file" name="image" accept="image/*"></label>';
        form.querySelector(".aside")!.textContent = `: ${this.title}`;
        this.element.append(form);
        return form;
    }

    private part(selector: string): HTMLElement {
        return this.element.querySelector<HTMLElement>(selector)!;
    }
}

function paragraph(line: string): HTMLParagraphElement {
    const element = document.createElement("p");
    element.textContent = line;
    return element;
}
