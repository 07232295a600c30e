// Requests to the desk's API: who asks is known by the session's cookie, and changes repeat its token.
import { signal } from "@preact/signals";
import type { ApiPath } from "./types";

export const API = "/api/v1";
const CSRF_HEADER = "X-CSRF-Token";

/** Set at log-in; what changes anything repeats it. */
export const csrf = signal<string | null>(null);
/** Counts answers that say nobody is logged in. */
export const loggedOut = signal(0);

export interface Fault {
  where: string;
  detail: string;
}

/** An answer that is no success: `message` is a sentence for people. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly faults: readonly Fault[] = [],
  ) {
    super(detail);
  }
}

type Value = string | number | boolean | null | undefined;
export type Query = Record<string, Value | readonly string[]>;

export function address(path: ApiPath, query: Query = {}): string {
  const kept = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (Array.isArray(value)) for (const each of value) kept.append(name, each);
    else if (value !== null && value !== undefined && value !== "") kept.set(name, String(value));
  const text = kept.toString();
  return API + path + (text ? `?${text}` : "");
}

export async function request<T>(method: string, to: string, body?: unknown, abort?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = {};
  if (method !== "GET" && csrf.peek()) headers[CSRF_HEADER] = csrf.peek() ?? "";
  const init: RequestInit = { method, headers, credentials: "same-origin" };
  if (body instanceof Blob) {
    init.body = body;
    headers["Content-Type"] = body.type || "application/octet-stream";
  } else if (body !== undefined) {
    init.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  if (abort) init.signal = abort;
  const answer = await fetch(to, init);
  if (!answer.ok) throw await problemOf(answer);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

async function problemOf(answer: Response): Promise<ApiError> {
  if (answer.status === 401) loggedOut.value = loggedOut.peek() + 1;
  try {
    const problem = (await answer.json()) as { detail?: string; faults?: Fault[] };
    return new ApiError(answer.status, problem.detail ?? answer.statusText, problem.faults);
  } catch {
    return new ApiError(answer.status, answer.statusText);
  }
}

export const get = <T>(path: ApiPath, query?: Query): Promise<T> => request<T>("GET", address(path, query));
export const post = <T>(path: ApiPath, body?: unknown): Promise<T> => request<T>("POST", address(path), body ?? {});
export const remove = (path: ApiPath): Promise<void> => request<void>("DELETE", address(path));
