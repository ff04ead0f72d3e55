/**
 * The backend, as this server sees it. Where it is and the key for it are read from the environment
 * at each call, so that one image serves every environment. Nothing here may reach the browser.
 */

export type Health = {
  status: string;
  database: string;
  reason: string | null;
  environment: string;
  version: string;
};

export type Priority = "low" | "medium" | "high";

export type Task = {
  id: number;
  title: string;
  due: string | null;
  priority: Priority;
  completed: boolean;
};

export type NewTask = Pick<Task, "title" | "due" | "priority">;

/** What came back, or in a sentence for people why nothing did. */
export type Answer<T> = { ok: true; value: T } | { ok: false; reason: string };

const TIMEOUT_MS = 8_000;

/** Health comes with a body whether or not the database is there. */
export async function health(): Promise<Answer<Health>> {
  return call<Health>("GET", "/api/health", { bodyOf: [503] });
}

export async function tasks(): Promise<Answer<Task[]>> {
  return call<Task[]>("GET", "/api/tasks", { signed: true });
}

export async function addTask(task: NewTask): Promise<Answer<Task>> {
  return call<Task>("POST", "/api/tasks", { signed: true, body: task });
}

export async function setCompleted(id: number, completed: boolean): Promise<Answer<Task>> {
  return call<Task>("PATCH", `/api/tasks/${id}`, { signed: true, body: { completed } });
}

export async function deleteTask(id: number): Promise<Answer<null>> {
  return call<null>("DELETE", `/api/tasks/${id}`, { signed: true });
}

type Options = { signed?: boolean; body?: unknown; bodyOf?: number[] };

async function call<T>(method: string, path: string, options: Options): Promise<Answer<T>> {
  const base = process.env.BACKEND_URL;
  if (!base) return { ok: false, reason: "BACKEND_URL is not set." };
  const headers = new Headers();
  if (options.signed) headers.set("Authorization", `Bearer ${process.env.MCP_API_KEY ?? ""}`);
  if (options.body !== undefined) headers.set("Content-Type", "application/json");
  try {
    const response = await fetch(new URL(path, base), {
      method,
      headers,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (!response.ok && !options.bodyOf?.includes(response.status)) {
      return { ok: false, reason: sentence(response.status) };
    }
    return { ok: true, value: response.status === 204 ? (null as T) : ((await response.json()) as T) };
  } catch (error) {
    // The cause names addresses inside the cluster, which are for the log and not for the page.
    console.error("backend call failed", method, path, error);
    return { ok: false, reason: "The backend cannot be reached." };
  }
}

function sentence(status: number): string {
  switch (status) {
    case 401:
      return "The backend does not accept this frontend's key.";
    case 404:
      return "That task is no longer there.";
    case 422:
      return "The backend does not accept that.";
    default:
      return `The backend answered with ${status}.`;
  }
}
