import type { JSX } from "preact";
import { t } from "../i18n";
import { Empty } from "../ui/parts";

export function ModelsPage(): JSX.Element {
  return <Empty title={t("state.loading")} />;
}
