// The queue as the browser holds it: the next stories are here before they are wanted, labels are saved behind the
// analyst's back, in their order, and each step can be taken back.
import { batch, signal } from "@preact/signals";
import { showSaved, towards } from "../../api/labels";
import { ApiError, address, post, remove, request } from "../../api/client";
import type { Queue, QueueItem, SavedLabels } from "../../api/types";
import { t } from "../../i18n";
import { say, sayError } from "../../ui/toasts";

const AHEAD = 8; // stories held at most, the one on the screen included
const LEAST = 5; // stories held, or more are asked for: nobody labels as fast as a server answers four times
const MOST_ASKED = 20; // at once, as the server has it
const KEPT = 50;
const RENEWED_AFTER = 0.7; // of a lease
const RETRIED_AFTER = 0.1; // of a lease, where it could not be renewed

interface Step {
  request: string;
  item: QueueItem;
  label: string;
  /** Of the story, or of this company in it. */
  company?: string;
}

export const items = signal<readonly QueueItem[]>([]);
export const steps = signal<readonly Step[]>([]);
/** Steps of the analyst that the server can take back, those of other days included. */
export const undoable = signal(0);
export const loading = signal(false);
export const empty = signal(false);
export const problem = signal<Error | null>(null);
/** The company that keys label now, in which story; that of a story that is no longer on the screen is none. */
const chosenCompany = signal({ story: "", name: "" });
/** When each label of this visit was given. */
export const given = signal<readonly number[]>([]);

let chosen = { task: "", source: "" };
let saving: Promise<unknown> = Promise.resolve();
const unsaved = new Map<string, QueueItem>(); // by step: the server does not know yet that these are labelled, or left
let filling: Promise<void> | null = null;
let leaseMs = 0;
let renewal = 0; // the timer of the next one

addEventListener("beforeunload", (event) => {
  if (unsaved.size > 0) event.preventDefault(); // the browser asks whether to leave
});

/** Begin with a task, and a source if given. */
export function begin(task: string, source: string): void {
  if (chosen.task === task && chosen.source === source && items.peek().length > 0) return;
  chosen = { task, source };
  items.value = [];
  steps.value = [];
  empty.value = false;
  void fill();
}

export function fill(): Promise<void> {
  filling ??= ask().finally(() => (filling = null));
  return filling;
}

/** Ask once more after what is under way, whose answer may know less. */
async function fillAnew(): Promise<void> {
  await filling;
  await fill();
}

/** Try again what failed: to keep what is held, or else to get something. */
export function retry(): void {
  void (items.peek().length > 0 ? renew() : fill());
}

function again(): void {
  setTimeout(() => void fill()); // once this time is over
}

async function ask(): Promise<void> {
  const wanted = chosen;
  const held = items.peek();
  if (!wanted.task || held.length > LEAST) return;
  loading.value = true;
  try {
    const holding = [...items.peek(), ...unsaved.values()].map((item) => item.story); // these must not come again
    const found = await request<Queue>("GET", address("/queue", { ...wanted, count: AHEAD - items.peek().length, holding }));
    if (wanted !== chosen) return again();
    const known = new Set(items.peek().map((item) => item.story));
    const news = found.items.filter((item) => !known.has(item.story));
    items.value = [...items.peek(), ...news];
    if (news.length > 0 && items.peek().length <= LEAST) again(); // some were labelled meanwhile
    empty.value = items.peek().length === 0;
    problem.value = null;
    leaseMs = found.lease_seconds * 1000;
    renewLater(RENEWED_AFTER);
  } catch (error) {
    problem.value = error as Error;
  } finally {
    loading.value = false;
  }
}

/** After that share of a lease. */
function renewLater(share: number): void {
  clearTimeout(renewal);
  renewal = window.setTimeout(() => void renew(), leaseMs * share);
}

/** Keep what is held, as long as somebody looks: asked for again without naming it, the server gives it again. */
async function renew(): Promise<void> {
  if (document.hidden) {
    document.addEventListener("visibilitychange", () => void renew(), { once: true });
    return;
  }
  const wanted = chosen;
  const held = items.peek().map((item) => item.story);
  const asked = new Set(held.slice(0, MOST_ASKED));
  const holding = [...held, ...[...unsaved.values()].map((item) => item.story)].filter((story) => !asked.has(story));
  let next = RENEWED_AFTER;
  try {
    if (asked.size > 0) {
      const found = await request<Queue>("GET", address("/queue", { ...wanted, count: asked.size, holding }));
      if (wanted === chosen) keep(found.items, asked);
      problem.value = null;
    }
    void fill(); // others may have come in place of what was lost
  } catch (error) {
    problem.value = error as Error;
    next = RETRIED_AFTER;
  }
  renewLater(next);
}

/** Of what was asked for, only what was given again, and what came in place of it; what was labelled since is no more. */
function keep(given: readonly QueueItem[], asked: ReadonlySet<string>): void {
  const still = new Set(given.map((item) => item.story));
  const kept = items.peek().filter(({ story }) => still.has(story) || !asked.has(story));
  const known = new Set([...asked, ...kept.map((item) => item.story)]);
  items.value = [...kept, ...given.filter(({ story }) => !known.has(story))];
}

/** Once the browser has drawn what was changed: what can wait until then must not delay it. */
const drawn = (): Promise<void> =>
  new Promise((done) => {
    requestAnimationFrame(() => setTimeout(done));
    setTimeout(done, 100); // a page that nobody looks at draws nothing
  });

/** The company in the story on the screen that keys label now; none where they label the story. */
export function company(): string | undefined {
  const { story, name } = chosenCompany.value;
  return items.value[0]?.story === story && name ? name : undefined;
}

export function chooseCompany(name: string | undefined): void {
  chosenCompany.value = { story: items.peek()[0]?.story ?? "", name: name ?? "" };
}

/** The company so many places further; beyond the last, and before the first, is the story. */
export function stepCompany(by: number): void {
  const places = [undefined, ...(items.peek()[0]?.entities ?? [])];
  chooseCompany(places[(places.indexOf(company()) + by + places.length) % places.length]);
}

/** Label the story on the screen, and the next one is there at once; or the company that is chosen, and the next one is. */
export function label(name: string): void {
  const [item, ...rest] = items.peek();
  if (!item) return;
  const of = company();
  const step: Step = { request: crypto.randomUUID(), item, label: name, ...(of && { company: of }) };
  batch(() => {
    if (of) sayOf(item, of, name);
    else items.value = rest;
    steps.value = [...steps.peek(), step].slice(-KEPT);
    given.value = [...given.peek(), Date.now()];
    undoable.value = Math.min(KEPT, undoable.peek() + 1);
  });
  if (of) stepCompany(1);
  const said = of ? { entities: { [of]: name } } : { labels: { [chosen.task]: name } };
  const body = { request: step.request, model_hidden: true, items: [{ story: item.story, ...said }] };
  unsaved.set(step.request, item);
  saving = Promise.all([saving, drawn()])
    .then(() => post<SavedLabels>("/labels", body))
    .then((saved) => (undoable.value = saved.undoable))
    .catch((error: unknown) => refused(step, error))
    .finally(() => unsaved.delete(step.request));
  void drawn().then(fill);
}

/** What could not be saved is on the screen again. */
function refused(step: Step, error: unknown): void {
  steps.value = steps.peek().filter((each) => each !== step);
  given.value = given.peek().slice(0, -1);
  if (step.company) sayOf(step.item, step.company, lastOf(step));
  else items.value = [step.item, ...items.peek()];
  sayError(error);
}

/** Show what is said of a company; nothing any more for undefined. */
function sayOf({ story }: QueueItem, name: string, said: string | undefined): void {
  const { [name]: _, ...others } = towards.peek().get(story) ?? {};
  towards.value = new Map(towards.peek()).set(story, said ? { ...others, [name]: said } : others);
}

/** What was said last of the company of a step that is no more. */
function lastOf({ item, company }: Step): string | undefined {
  return steps.peek().findLast((each) => each.item.story === item.story && each.company === company)?.label;
}

/** Take the latest step back that was not saved after this, once all before is saved; its story is on the screen again. */
export function undo(): void {
  saving = saving.then(takeBack);
}

async function takeBack(): Promise<void> {
  const last = steps.peek().findLast((each) => !unsaved.has(each.request)); // the latest that the server knows
  try {
    const done = await post<SavedLabels>("/labels/undo", { request: crypto.randomUUID() });
    undoable.value = done.undoable;
    showSaved(done.items); // the step may have been one of another page
    if (last && done.items.some((each) => each.story === last.item.story && (last.company ? last.company in each.entities : chosen.task in each.labels))) {
      steps.value = steps.peek().filter((each) => each !== last); // others may have been labelled meanwhile
      given.value = given.peek().slice(0, -1);
      if (!last.company) items.value = [last.item, ...items.peek().filter((item) => item.story !== last.item.story)];
    }
    void fillAnew(); // the step may have been one of another visit: only the server has its story
    say(t("label.undone", { n: done.items.length }));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) undoable.value = 0;
    sayError(error);
  }
}

/** Leave the story on the screen to others. */
export async function skip(): Promise<void> {
  const [item, ...rest] = items.peek();
  if (!item) return;
  items.value = rest;
  const step = crypto.randomUUID();
  unsaved.set(step, item); // until the server knows, it would give the story again
  try {
    await remove(`/queue/${item.story}`);
  } catch (error) {
    sayError(error);
  } finally {
    unsaved.delete(step);
  }
  void fill();
}
