// Who is logged in, and what they may do.
import { effect, signal } from "@preact/signals";
import { ApiError, csrf, get, loggedOut, post, remove } from "../api/client";
import { listen, stopListening } from "../api/live";
import type { Me, Role } from "../api/types";
import { forget } from "../api/useData";
import { go, place } from "../router";
import { sayError } from "../ui/toasts";

const ROLES: readonly Role[] = ["viewer", "analyst", "admin"];

/** undefined: not known yet; null: nobody. */
export const me = signal<Me | null | undefined>(undefined);

/** Whose document this is: what its pages hold (stories leased, marks, steps) is of nobody else. */
let owner = "";
/** Whoever logs in in one tab is logged in in all of them. */
const tabs = new BroadcastChannel("newstide session");
tabs.onmessage = ({ data }: MessageEvent<string>) => {
  if (owner && data !== owner) location.reload();
};

export function may(role: Role): boolean {
  return me.value ? ROLES.indexOf(me.value.role) >= ROLES.indexOf(role) : false;
}

export async function beginSession(): Promise<void> {
  effect(() => {
    if (loggedOut.value > 0 && me.peek()) enter(null);
  });
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    history.replaceState(null, "", location.pathname + location.search);
    try {
      enter(await post<Me>("/session/link", { token }));
      return;
    } catch (error) {
      linkProblem.value = error instanceof Error ? error.message : String(error);
    }
  }
  try {
    enter(await get<Me>("/session"));
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) linkProblem.value = (error as Error).message;
    enter(null);
  }
}

/** Why a one-time link, or the server, did not let the reader in. */
export const linkProblem = signal("");

/** Show the desk to somebody, and to somebody else than before from the beginning; or the way in to nobody. */
export function enter(who: Me | null): void {
  if (who) {
    tabs.postMessage(who.name);
    if (owner && who.name !== owner) return location.reload();
    owner = who.name;
  }
  csrf.value = who?.csrf ?? null;
  if (who && place.peek().path === "/login") go("/", true);
  me.value = who;
  if (who) listen();
  else {
    stopListening();
    forget();
  }
}

export async function logIn(name: string, password: string): Promise<void> {
  enter(await post<Me>("/session", { name, password }));
  linkProblem.value = "";
}

export async function logOut(): Promise<void> {
  try {
    await remove("/session");
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) return sayError(error); // still logged in
  }
  enter(null);
  location.assign("/"); // what the pages hold of theirs goes with this document
}
