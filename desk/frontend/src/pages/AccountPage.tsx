// The reader: theme and language, tokens of their programs, and, for an admin, what everybody did.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { address, post, remove } from "../api/client";
import type { AuditEvent, MadeToken, Page, Role, Token } from "../api/types";
import { useData } from "../api/useData";
import { t } from "../i18n";
import { queryOf, setQuery } from "../router";
import { logOut, may, me } from "../state/session";
import { language, theme, type Language, type Theme } from "../state/settings";
import { DataTable } from "../ui/DataTable";
import { Export } from "../ui/Export";
import { Choice, Empty, Failed, More, Panel, Skeleton, Time } from "../ui/parts";
import { say, sayError } from "../ui/toasts";
import { useMore } from "../ui/useMore";

const ROLES: readonly Role[] = ["viewer", "analyst", "admin"];

export function AccountPage(): JSX.Element {
  return (
    <>
      <h1 class="hidden">{t("nav.account")}</h1>
      <div class="two-columns even">
        <div class="column">
          <Panel title={me.value?.name ?? ""} note={me.value && t(`role.${me.value.role}`)} tools={<button type="button" onClick={() => void logOut()}>{t("action.logout")}</button>}>
            <dl class="facts">
              <div>
                <dt>{t("account.theme")}</dt>
                <dd>
                  <Choice<Theme> label={t("account.theme")} value={theme.value} options={(["system", "light", "dark"] as const).map((value) => ({ value, text: t(`account.theme.${value}`) }))} onChange={(value) => (theme.value = value)} />
                </dd>
              </div>
              <div>
                <dt>{t("account.language")}</dt>
                <dd>
                  <Choice<Language>
                    label={t("account.language")}
                    value={language.value}
                    options={[
                      { value: "en", text: "English" },
                      { value: "zh", text: "中文" },
                    ]}
                    onChange={(value) => (language.value = value)}
                  />
                </dd>
              </div>
              <div>
                <dt>{t("account.zone")}</dt>
                <dd>{Intl.DateTimeFormat().resolvedOptions().timeZone}</dd>
              </div>
            </dl>
          </Panel>
          <Tokens />
        </div>
        {may("admin") && <Audit />}
      </div>
    </>
  );
}

function Tokens(): JSX.Element {
  const tokens = useData<Token[]>(address("/tokens"));
  const made = useSignal("");
  const make = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const fields = new FormData(form);
    const days = Number(fields.get("days"));
    try {
      made.value = (await post<MadeToken>("/tokens", { name: fields.get("name"), role: fields.get("role"), days: days > 0 ? days : null })).token;
      form.reset();
      tokens.reload();
    } catch (error) {
      sayError(error);
    }
  };
  const end = async (token: Token): Promise<void> => {
    try {
      await remove(`/tokens/${token.id}`);
      say(t("token.ended", { name: token.name }));
      tokens.reload();
    } catch (error) {
      sayError(error);
    }
  };
  return (
    <Panel title={t("token.title")} busy={tokens.loading}>
      <form class="search-form" onSubmit={(event) => void make(event)}>
        <input name="name" required maxLength={100} placeholder={t("token.name")} aria-label={t("token.name")} />
        <select name="role" class="small-field" aria-label={t("token.role")}>
          {ROLES.filter(may).map((role) => (
            <option key={role} value={role}>
              {t(`role.${role}`)}
            </option>
          ))}
        </select>
        <input name="days" class="small-field" type="number" min="1" max="3660" placeholder={t("token.days")} aria-label={t("token.days")} />
        <button type="submit" class="primary">
          {t("token.make")}
        </button>
      </form>
      {made.value && (
        <p class="made" role="status">
          {t("token.once")} <code>{made.value}</code>
          <button type="button" onClick={() => void navigator.clipboard.writeText(made.value).then(() => say(t("token.copied")), sayError)}>
            {t("token.copy")}
          </button>
        </p>
      )}
      {tokens.error && <Failed error={tokens.error} retry={tokens.reload} />}
      {!tokens.data ? (
        !tokens.error && <Skeleton />
      ) : tokens.data.length === 0 ? (
        <Empty title={t("token.empty")}>{t("token.empty.do")}</Empty>
      ) : (
        <DataTable
          caption={t("token.title")}
          rows={tokens.data}
          rowId={(token) => token.id}
          columns={[
            { id: "name", title: t("token.name"), value: (token) => token.name },
            { id: "account", title: t("column.analyst"), value: (token) => token.account },
            { id: "role", title: t("token.role"), value: (token) => token.role, render: (token) => t(`role.${token.role}`) },
            { id: "created_at", title: t("token.created"), value: (token) => token.created_at, render: (token) => <Time at={token.created_at} />, wide: true },
            { id: "expires_at", title: t("token.expires"), value: (token) => token.expires_at, render: (token) => (token.expires_at ? <Time at={token.expires_at} /> : t("token.never")), wide: true },
            {
              id: "end",
              title: t("token.state"),
              plain: true,
              value: (token) => token.revoked_at,
              render: (token) =>
                token.revoked_at ? (
                  <span class="muted">{t("token.over")}</span>
                ) : (
                  <button type="button" onClick={() => void end(token)} aria-label={t("token.end.named", { name: token.name })}>
                    {t("token.end")}
                  </button>
                ),
            },
          ]}
        />
      )}
    </Panel>
  );
}

function Audit(): JSX.Element {
  const wanted = address("/audit", { account: queryOf("account"), action: queryOf("action"), limit: 50 });
  const list = useData<Page<AuditEvent>>(wanted);
  const { items, more } = useMore(wanted, list.data);
  const columns = [
    { id: "at", title: t("column.from"), value: (event: AuditEvent) => event.at, render: (event: AuditEvent) => <Time at={event.at} /> },
    { id: "account", title: t("audit.who"), value: (event: AuditEvent) => event.account },
    { id: "action", title: t("audit.action"), value: (event: AuditEvent) => event.action },
    { id: "subject", title: t("audit.subject"), value: (event: AuditEvent) => event.subject, render: (event: AuditEvent) => <span class="clip mono">{event.subject}</span>, wide: true },
    { id: "detail", title: t("audit.detail"), value: (event: AuditEvent) => JSON.stringify(event.detail), render: (event: AuditEvent) => <span class="clip mono" title={JSON.stringify(event.detail)}>{JSON.stringify(event.detail)}</span>, wide: true },
  ];
  return (
    <Panel
      class="whole"
      title={t("audit.title")}
      busy={list.loading}
      tools={
        <>
          <input class="small-field" placeholder={t("audit.who")} aria-label={t("audit.who")} value={queryOf("account")} onChange={(event) => setQuery({ account: event.currentTarget.value })} />
          <input class="small-field" placeholder={t("audit.action")} aria-label={t("audit.action")} value={queryOf("action")} onChange={(event) => setQuery({ action: event.currentTarget.value })} />
          <Export name="audit" columns={columns} rows={items} />
        </>
      }
    >
      {list.error && <Failed error={list.error} retry={list.reload} />}
      {!list.data ? !list.error && <Skeleton rows={8} /> : <DataTable caption={t("audit.title")} columns={columns} rows={items} rowId={(event) => String(event.id)} sortable={false} />}
      <More more={more} />
    </Panel>
  );
}
