// Small parts that every page is made of.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { ago, moment, utc } from "../format";
import { named, t } from "../i18n";

type Children = { children?: ComponentChildren };

/** One view: a heading, what can be done with it, and the view. */
export function Panel(props: Children & {
  title: string;
  id?: string;
  note?: ComponentChildren;
  tools?: ComponentChildren;
  busy?: boolean;
  class?: string;
}): JSX.Element {
  return (
    <section class={`panel ${props.class ?? ""}`} aria-label={props.title} id={props.id} aria-busy={props.busy ?? false}>
      <header class="panel-head">
        <h2>{props.title}</h2>
        {props.note && <span class="note">{props.note}</span>}
        {props.busy && <span class="spinner" aria-hidden="true" />}
        <span class="grow" />
        {props.tools}
      </header>
      {props.children}
    </section>
  );
}

/** Nothing to show: why, and what to do about it. */
export function Empty({ children, title }: Children & { title: string }): JSX.Element {
  return (
    <div class="empty">
      <strong>{title}</strong>
      <span>{children}</span>
    </div>
  );
}

export function Failed({ error, retry }: { error: Error; retry?: () => void }): JSX.Element {
  return (
    <div class="failed" role="alert">
      <span>{t("error.view", { detail: error.message })}</span>
      {retry && (
        <button type="button" onClick={retry}>
          {t("action.retry")}
        </button>
      )}
    </div>
  );
}

export function Skeleton({ rows = 4 }: { rows?: number }): JSX.Element {
  return (
    <div class="skeleton" aria-label={t("state.loading")} role="status">
      {Array.from({ length: rows }, (_, row) => (
        <i key={row} />
      ))}
    </div>
  );
}

/** The button for the next part of a list; nothing where there is none. */
export function More({ more, busy }: { more: (() => Promise<void>) | null; busy?: boolean }): JSX.Element | null {
  if (!more) return null;
  return (
    <button type="button" class="more" disabled={busy} onClick={() => void more()}>
      {t("action.more")}
    </button>
  );
}

/** A time in the reader's zone, with UTC on hover. */
export function Time({ at, relative }: { at: string | null | undefined; relative?: boolean }): JSX.Element {
  if (!at) return <span>–</span>;
  const value = Date.parse(at);
  return (
    <time dateTime={at} title={utc(value)}>
      {relative ? ago(value) : moment(value)}
    </time>
  );
}

/** A link that a feed gave: only http and https, and the page that it opens learns nothing. */
export function OutLink({ url, children, class: name }: Children & { url: string | null; class?: string }): JSX.Element {
  let safe: string | null = null;
  try {
    const parsed = new URL(url ?? "");
    if (parsed.protocol === "https:" || parsed.protocol === "http:") safe = parsed.href;
  } catch {
    // not an address
  }
  return safe ? (
    <a href={safe} target="_blank" rel="noopener noreferrer" class={name}>
      {children}
    </a>
  ) : (
    <span class={name}>{children}</span>
  );
}

export function Dialog(props: Children & { title: string; onClose: () => void; class?: string }): JSX.Element {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus({ preventScroll: true });
    };
  }, []);
  return (
    <dialog
      ref={box}
      class={props.class}
      aria-label={props.title}
      onClose={props.onClose}
      onClick={(event) => event.target === box.current && box.current?.close()}
    >
      <div class="dialog">
        <header class="panel-head">
          <h2>{props.title}</h2>
          <span class="grow" />
          <button type="button" class="quiet" aria-label={t("action.close")} onClick={() => box.current?.close()}>
            ✕
          </button>
        </header>
        {props.children}
      </div>
    </dialog>
  );
}

/** One of few. */
export function Choice<T extends string>(props: {
  label: string;
  value: T;
  options: readonly { value: T; text: string; title?: string }[];
  onChange: (value: T) => void;
}): JSX.Element {
  return (
    <div class="choice" role="group" aria-label={props.label}>
      {props.options.map((option) => (
        <button
          key={option.value}
          type="button"
          title={option.title}
          aria-pressed={option.value === props.value}
          onClick={() => props.onChange(option.value)}
        >
          {option.text}
        </button>
      ))}
    </div>
  );
}

const MARKS: Record<string, string> = { negative: "▼", neutral: "◆", positive: "▲" };

/** A sentiment by colour, mark and word: any one of them is enough. */
export function Sentiment({ value, short }: { value: string; short?: boolean }): JSX.Element {
  return (
    <span class={`sentiment ${value in MARKS ? value : ""}`} title={named("sentiment", value)}>
      <span aria-hidden="true">{MARKS[value] ?? "·"}</span>
      {short ? <span class="hidden">{named("sentiment", value)}</span> : ` ${named("sentiment", value)}`}
    </span>
  );
}
