// What the page was told as it was made: the ticket's addresses, and all words, in the reader's language.

type Forms = Record<string, string>;

export interface Words {
    states: Record<"missing" | "awaiting" | "received" | "stored", string>;
    reasons: Record<string, string>;
    ends: Record<string, [string, string]>;
    arrived: Forms;
    kept_offline: Forms;
    not_kept_offline: Forms;
    sending: Forms;
    elsewhere: Forms;
    unsent: Forms;
    too_many: Forms;
    take: string;
    choose: string;
    again: string;
    waiting: string;
    reading: string;
    being_sent: string;
    checking: string;
    wanted_again: string;
    failed: string;
    taken: string;
    twice: string;
    unreadable: string;
    not_kept: string;
    trouble: string;
    complete_at: string;
    arrived_one: string;
    refused_one: string;
}

interface Told {
    ticket: string;
    status: string;
    uploads: string;
    direct: boolean; // photos go to Cloudinary itself
    state: string;
    words: Words;
}

export const told: Told = JSON.parse(document.getElementById("hopla")!.textContent!);
export const words = told.words;
export const language = document.documentElement.lang || "en";
export const token = location.pathname.split("/").filter(Boolean).pop()!;

const plurals = new Intl.PluralRules(language);
const moments = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" });

export function filled(text: string, values: Record<string, string | number>): string {
    return text.replace(/\{(\w+)\}/g, (all, name) => String(values[name] ?? all));
}

export function counted(forms: Forms, number: number, values: Record<string, string | number> = {}): string {
    return filled(forms[plurals.select(number)] ?? forms.other, { number, ...values });
}

export function moment(iso: string): string {
    return moments.format(new Date(iso));
}
