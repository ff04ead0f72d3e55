/** What came back, or in a sentence for people why nothing did. */
export type Loaded<T> = { ok: true; value: T } | { ok: false; status: number; reason: string };
