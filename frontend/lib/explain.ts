/** What an answer that is no success says, as a sentence. */
export async function explain(response: Response): Promise<string> {
  const { detail, message } = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  // FastAPI's list of what is wrong with each field.
  if (Array.isArray(detail)) {
    const first = (detail[0] as { msg?: string } | undefined)?.msg;
    return first ? `That cannot be taken: ${first}.` : "That cannot be taken.";
  }
  if (typeof detail === "string" && detail) return detail.endsWith(".") ? detail : `${detail}.`;
  if (typeof message === "string" && message) return message.endsWith(".") ? message : `${message}.`;
  if (response.status === 429) return "Too many attempts. Wait a minute and try again.";
  return `The application answered with ${response.status}.`;
}
