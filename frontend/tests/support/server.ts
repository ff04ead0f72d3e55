/**
 * The application's own origin for components: requests are held until the test answers them, so
 * that what shows in between can be looked at.
 */

import { vi } from "vitest";

export type Held = {
  method: string;
  path: string;
  body: unknown;
  signal: AbortSignal | null | undefined;
  answer: (status: number, body?: unknown) => void;
  stream: (response: Response) => void;
  fail: () => void;
};

export class Origin {
  private readonly held: Held[] = [];
  private waiting: ((held: Held) => void)[] = [];

  constructor() {
    vi.stubGlobal("fetch", (path: string, options: RequestInit = {}) => {
      return new Promise<Response>((resolve, reject) => {
        options.signal?.addEventListener("abort", () => reject(options.signal?.reason as Error));
        const held: Held = {
          method: options.method ?? "GET",
          path,
          body: options.body ? JSON.parse(options.body as string) : undefined,
          signal: options.signal,
          answer: (status, body) => resolve(new Response(body === undefined ? null : JSON.stringify(body), { status })),
          stream: resolve,
          fail: () => reject(new TypeError("network")),
        };
        const waiter = this.waiting.shift();
        if (waiter) waiter(held);
        else this.held.push(held);
      });
    });
  }

  /** The next request, in the order in which they were made. */
  next(): Promise<Held> {
    const held = this.held.shift();
    return held ? Promise.resolve(held) : new Promise((resolve) => this.waiting.push(resolve));
  }
}
