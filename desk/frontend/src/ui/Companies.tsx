// Companies of a story, each with what the story says of it. One of which it says something else than it says as a whole
// comes first, in words and in bold.
import type { JSX } from "preact";
import { t } from "../i18n";
import { href } from "../router";
import { Sentiment } from "./parts";

/** `towards`: what is said of each of `names`; null where nobody knows. `whole`: what is said as a whole. */
interface Props {
  names: readonly string[];
  towards: readonly (string | null)[];
  whole: string | null;
  most?: number;
}

export function Companies({ names, towards, whole, most = 4 }: Props): JSX.Element {
  const companies = names.map((name, place) => {
    const said = towards[place] ?? null;
    return { name, said, differs: said !== null && said !== whole };
  });
  const shown = [...companies.filter((one) => one.differs), ...companies.filter((one) => !one.differs)].slice(0, most);
  return (
    <>
      {shown.map(({ name, said, differs }) => (
        <a key={name} class={differs ? "company differs" : "company"} href={href("/", { kind: "entity", series: `entity=${name}` })} title={differs && whole ? t("company.differs", { name }) : undefined}>
          {name} {said && <Sentiment value={said} short={!differs} />}
        </a>
      ))}
    </>
  );
}
