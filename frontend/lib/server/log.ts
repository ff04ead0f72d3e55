/** One JSON object a line, for people and programs alike. What is logged never holds a secret. */

type Level = "info" | "warn" | "error";

export function log(level: Level, message: string, fields: Record<string, string | number> = {}): void {
  console[level](JSON.stringify({ time: new Date().toISOString(), level, message, ...fields }));
}

/** An error in one line: addresses and codes, no stack. Drivers' messages name no password. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${reasonOf(error.cause)}` : error.message;
}
