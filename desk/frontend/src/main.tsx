// The desk in a browser.
import { render } from "preact";
import { App } from "./App";
import { followLinks } from "./router";
import { beginSession } from "./state/session";
import { applySettings } from "./state/settings";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/pages.css";
import { listenToKeys } from "./ui/keys";

applySettings();
followLinks();
listenToKeys();
const root = document.getElementById("app");
if (root) render(<App />, root);
void beginSession();
