// Logging in: with a password, at an identity provider, or by a link that is good once.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { API, address } from "../api/client";
import { useData } from "../api/useData";
import { t } from "../i18n";
import { linkProblem, logIn } from "../state/session";

export function LoginPage(): JSX.Element {
  const methods = useData<Record<string, boolean>>(address("/session/methods"));
  const problem = useSignal("");
  const busy = useSignal(false);
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    busy.value = true;
    problem.value = "";
    logIn(String(fields.get("name")), String(fields.get("password")))
      .catch((error: Error) => (problem.value = error.message))
      .finally(() => (busy.value = false));
  };
  return (
    <main class="login">
      <div class="login-card">
        <svg viewBox="0 0 32 20" aria-hidden="true">
          <path d="M2 13c4 0 4-6 8-6s4 6 8 6 5-9 9-9" />
          <circle cx="28.500" cy="4" r="2.500" />
        </svg>
        <h1>newstide</h1>
        <p class="muted">{t("login.what")}</p>
        {(problem.value || linkProblem.value) && (
          <p class="failed" role="alert">
            {problem.value || linkProblem.value}
          </p>
        )}
        {methods.data?.oidc && (
          <a class="button primary" href={`${API}/session/oidc`}>
            {t("login.oidc")}
          </a>
        )}
        {methods.data?.password !== false && (
          <form onSubmit={submit}>
            <label>
              {t("login.name")}
              <input name="name" autocomplete="username" required autofocus maxLength={100} />
            </label>
            <label>
              {t("login.password")}
              <input name="password" type="password" autocomplete="current-password" required maxLength={1024} />
            </label>
            <button type="submit" class="primary" disabled={busy.value}>
              {t("login.enter")}
            </button>
          </form>
        )}
        <p class="muted small">{t("login.link")}</p>
      </div>
    </main>
  );
}
