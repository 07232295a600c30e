// The frame around every page, and which page it is.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { t, type Text } from "./i18n";
import { AccountPage } from "./pages/AccountPage";
import { AlertsPage } from "./pages/alerts/AlertsPage";
import { LabelPage } from "./pages/label/LabelPage";
import { LoginPage } from "./pages/LoginPage";
import { ModelsPage } from "./pages/ModelsPage";
import { MoodPage } from "./pages/mood/MoodPage";
import { SearchPage } from "./pages/SearchPage";
import { href, place } from "./router";
import { me } from "./state/session";
import { TopBar } from "./ui/TopBar";
import { Empty } from "./ui/parts";
import { Toasts } from "./ui/toasts";

interface Route {
  title: Text;
  page: () => JSX.Element;
}

const ROUTES: Record<string, Route> = {
  "": { title: "nav.mood", page: MoodPage },
  alerts: { title: "nav.alerts", page: AlertsPage },
  label: { title: "nav.label", page: LabelPage },
  models: { title: "nav.models", page: ModelsPage },
  search: { title: "nav.search", page: SearchPage },
  account: { title: "nav.account", page: AccountPage },
};

export function App(): JSX.Element {
  const who = me.value;
  const route = ROUTES[place.value.path.split("/")[1] ?? ""];
  const title = who === null ? t("login.title") : t(route?.title ?? "page.missing");
  useEffect(() => {
    document.title = `${title} · newstide`;
  }, [title]);
  if (who === undefined) return <main class="starting" aria-busy="true" />;
  if (who === null)
    return (
      <>
        <LoginPage />
        <Toasts />
      </>
    );
  const Page = route?.page ?? Missing;
  return (
    <>
      <a class="skip" href="#page" onClick={(event) => (event.preventDefault(), document.getElementById("page")?.focus())}>
        {t("skip")}
      </a>
      <TopBar />
      <main id="page" tabIndex={-1}>
        <Page />
      </main>
      <Toasts />
    </>
  );
}

function Missing(): JSX.Element {
  return (
    <Empty title={t("page.missing")}>
      <a href={href("/")}>{t("page.missing.do")}</a>
    </Empty>
  );
}
