// Where the reader is: the address says all of it, so that it can be shared.
import { signal } from "@preact/signals";

export interface Place {
  path: string;
  query: URLSearchParams;
}

export const place = signal<Place>(read());

function read(): Place {
  // links in messages lead to /incidents by older copies of alerts.toml
  return { path: location.pathname.replace(/^\/incidents(?=\/|$)/, "/alerts"), query: new URLSearchParams(location.search) };
}

export function href(path: string, query: Record<string, string | null | undefined> = {}): string {
  const kept = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) kept.set(name, value);
  const text = kept.toString();
  return text ? `${path}?${text}` : path;
}

export function go(address: string, replace = false): void {
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  const before = place.peek().path;
  place.value = read();
  if (place.peek().path !== before) window.scrollTo(0, 0);
}

/** Change some parameters of this page's address; null takes one away. */
export function setQuery(changes: Record<string, string | null>, replace = false): void {
  const query = new URLSearchParams(place.peek().query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  const address = place.peek().path + (text ? `?${text}` : "");
  if (address !== location.pathname + location.search) go(address, replace);
}

export function queryOf(name: string): string {
  return place.value.query.get(name) ?? "";
}

/** Follow links within the desk without loading the page anew. */
export function followLinks(): void {
  addEventListener("popstate", () => (place.value = read()));
  document.addEventListener("click", (event) => {
    const link = (event.target as Element | null)?.closest("a");
    if (!link || event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.pathname.startsWith("/api/") || link.pathname.startsWith("/static/")) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
