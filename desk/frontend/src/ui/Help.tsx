// What the keys do, here and now.
import type { JSX } from "preact";
import { named, t } from "../i18n";
import { scopes } from "./keys";
import { Dialog } from "./parts";

const WRITTEN: Record<string, string> = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };

export function Help({ onClose }: { onClose: () => void }): JSX.Element {
  return (
    <Dialog title={t("help.title")} onClose={onClose} class="help">
      <div class="help-columns">
        {scopes.value.map((scope) => (
          <section key={scope.title}>
            <h3>{t(scope.title)}</h3>
            <dl class="keys">
              {scope.keys.map((key) => (
                <div key={key.key}>
                  <dt>
                    <kbd>{WRITTEN[key.key] ?? key.key}</kbd>
                  </dt>
                  <dd>{key.name ? named("sentiment", key.name) : t(key.text)}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
        <section>
          <h3>{t("help.charts")}</h3>
          <p>{t("heat.keys")}</p>
        </section>
      </div>
    </Dialog>
  );
}
