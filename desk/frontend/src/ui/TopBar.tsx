// Where one can go, whether what is shown is live, and how it looks.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { connected } from "../api/live";
import { t, type Text } from "../i18n";
import { go, href, place } from "../router";
import { logOut, me } from "../state/session";
import { language, nextTheme, theme } from "../state/settings";
import { Help } from "./Help";
import { useKeys } from "./keys";

const PAGES: readonly { path: string; text: Text; key: string }[] = [
  { path: "/", text: "nav.mood", key: "m" },
  { path: "/alerts", text: "nav.alerts", key: "a" },
  { path: "/label", text: "nav.label", key: "l" },
  { path: "/models", text: "nav.models", key: "v" },
  { path: "/search", text: "nav.search", key: "/" },
];

export function TopBar(): JSX.Element {
  const help = useSignal(false);
  const first = place.value.path.split("/")[1] ?? "";
  const search = (): void => {
    if (first !== "search") go("/search");
    requestAnimationFrame(() => document.querySelector<HTMLInputElement>("input[type=search]")?.focus());
  };
  useKeys("keys.everywhere", [
    { key: "?", text: "keys.help", run: () => (help.value = true) },
    ...PAGES.map(({ path, text, key }) => ({ key, text, run: () => (path === "/search" ? search() : go(path)) })),
    { key: "T", text: "keys.theme", run: nextTheme },
  ]);
  return (
    <header class="top">
      <a class="brand" href="/" aria-label={t("brand.home")}>
        <svg viewBox="0 0 32 20" aria-hidden="true">
          <path d="M2 13c4 0 4-6 8-6s4 6 8 6 5-9 9-9" />
          <circle cx="28.500" cy="4" r="2.500" />
        </svg>
        newstide
      </a>
      <nav aria-label={t("nav.title")}>
        {PAGES.map(({ path, text }) => (
          <a key={path} href={href(path)} aria-current={`/${first}` === path ? "page" : undefined}>
            {t(text)}
          </a>
        ))}
      </nav>
      <span class="grow" />
      <span class={connected.value ? "live" : "live lost"} title={t(connected.value ? "live.on" : "live.off")}>
        <i aria-hidden="true" />
        <span>{t(connected.value ? "live.short" : "live.lost")}</span>
      </span>
      <button type="button" class="quiet" title={t("keys.help")} aria-label={t("keys.help")} onClick={() => (help.value = true)}>
        ?
      </button>
      <button type="button" class="quiet" title={t(`theme.${theme.value}`)} aria-label={t(`theme.${theme.value}`)} onClick={nextTheme}>
        {{ system: "◐", light: "☀", dark: "☾" }[theme.value]}
      </button>
      <button type="button" class="quiet" lang={language.value === "en" ? "zh-Hans" : "en"} onClick={() => (language.value = language.value === "en" ? "zh" : "en")}>
        {language.value === "en" ? "中文" : "English"}
      </button>
      <a class="who" href={href("/account")} aria-current={first === "account" ? "page" : undefined} title={me.value?.role && t(`role.${me.value.role}`)}>
        {me.value?.name}
      </a>
      <button type="button" class="quiet wide-only" onClick={() => void logOut()}>
        {t("action.logout")}
      </button>
      {help.value && <Help onClose={() => (help.value = false)} />}
    </header>
  );
}
