// The page of a hub: its frame, which view is open, and what is needed from everywhere.
//
// A view is a row of VIEWS; the first is there at once, the others' code is fetched when they are opened.
// The address after '#' says which view is open, so that links and the back button work.

import {html, nothing, type TemplateResult} from "lit";
import {customElement, state} from "lit/decorators.js";
import {PageElement} from "./base/element";
import {loadSetting, saveSetting} from "./base/store";
import {chat} from "./chat/chat-store";
import "./chat/chat-view";
import "./chat/consent-dialog";
import "./chat/history-list";
import type {ChatView} from "./chat/chat-view";
import {hubKey, whenKeyNeeded} from "./hub/http";
import {models} from "./hub/models";

interface View {
  id: string;
  name: string;
  load: () => Promise<unknown>;
  render: (rest: string) => TemplateResult;
}

const VIEWS: View[] = [
  {id: "chat", name: "Chat", load: async () => undefined, render: () => html`<chat-view></chat-view>`},
  {id: "models", name: "Models", load: () => import("./models/models-view"), render: () => html`<models-view></models-view>`},
  {id: "compare", name: "Compare", load: () => import("./compare/compare-view"), render: () => html`<compare-view></compare-view>`},
  {id: "ledger", name: "Ledger", load: () => import("./ledger/ledger-view"), render: (rest) => html`<ledger-view .receiptId=${rest}></ledger-view>`},
  {id: "silicon", name: "Silicon", load: () => import("./silicon/silicon-view"), render: (rest) => html`<silicon-view .kernel=${rest}></silicon-view>`},
  {id: "live", name: "Live", load: () => import("./live/live-view"), render: () => html`<live-view></live-view>`},
];

type Theme = "light dark" | "light" | "dark";
const THEMES: [Theme, string][] = [["light dark", "As the system"], ["light", "Light"], ["dark", "Dark"]];

const SHORTCUTS: [string, string][] = [
  ["Enter", "send; Shift + Enter begins a new line"],
  ["Esc", "stop the answer, close what is open"],
  ["↑ in an empty box", "edit your last question"],
  ["Alt + N", "new chat"],
  [`Alt + 1 … ${VIEWS.length}`, "open a view"],
  ["Alt + I", "to the box"],
  ["Alt + /", "this list"],
];

@customElement("hearth-page")
export class HearthPage extends PageElement {
  @state() private view = VIEWS[0];
  @state() private rest = "";
  @state() private theme: Theme = loadSetting<Theme>("theme", "light dark");
  @state() private keyMessage = "";
  @state() private isHistoryOpen = false;

  override connectedCallback(): void {
    this.replaceChildren();
    super.connectedCallback();
    this.applyTheme();
    addEventListener("hashchange", () => void this.follow());
    addEventListener("keydown", (event) => this.onKey(event));
    whenKeyNeeded((message) => this.askForKey(message));
    models.watch();
    void chat.open();
    void this.follow();
  }

  // The view that the address names, and what it says to it.
  private addressed(): {view: View; rest: string[]} {
    const [id, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
    return {view: VIEWS.find((row) => row.id === id) ?? VIEWS[0], rest};
  }

  private async follow(): Promise<void> {
    const {view, rest} = this.addressed();
    const address = location.hash;
    await view.load();
    if (location.hash !== address) return; // Another was chosen meanwhile.
    this.view = view;
    this.rest = decodeURIComponent(rest.join("/"));
    this.isHistoryOpen = false;
    document.title = view.id === "chat" ? "Hearth" : `${view.name} · Hearth`;
  }

  private applyTheme(): void {
    document.documentElement.style.colorScheme = this.theme;
  }

  private setTheme(theme: Theme): void {
    this.theme = theme;
    saveSetting("theme", theme);
    this.applyTheme();
  }

  private onKey(event: KeyboardEvent): void {
    if (event.key === "Escape" && !event.defaultPrevented && !document.querySelector("dialog[open]")) {
      if (this.isHistoryOpen) this.isHistoryOpen = false;
      else chat.stop();
    }
    if (!event.altKey || event.ctrlKey || event.metaKey) return;
    const digit = Number(event.code.replace("Digit", ""));
    const actions: Record<string, () => void> = {
      KeyN: () => (chat.startNew(), void this.openBox()),
      KeyI: () => void this.openBox(),
      Slash: () => this.dialog("help").showModal(),
    };
    const act = VIEWS[digit - 1] ? () => (location.hash = `#/${VIEWS[digit - 1].id}`) : actions[event.code];
    if (!act) return;
    event.preventDefault();
    act();
  }

  // From any view: what is typed next goes into the box, however late its view is drawn.
  private async openBox(): Promise<void> {
    if (this.addressed().view.id !== "chat") location.hash = "#/chat";
    await this.follow();
    await this.updateComplete;
    const view = this.querySelector<ChatView>("chat-view");
    await view?.updateComplete;
    view?.focusBox();
  }

  private dialog(id: string): HTMLDialogElement {
    return this.querySelector<HTMLDialogElement>(`#${id}`)!;
  }

  private askForKey(message: string): void {
    this.keyMessage = message;
    if (!this.dialog("key").open) this.dialog("key").showModal();
  }

  private saveKey(event: Event): void {
    event.preventDefault();
    const field = this.dialog("key").querySelector("input")!;
    hubKey.set(field.value.trim());
    field.value = "";
    this.dialog("key").close();
    void models.refresh();
  }

  private nav(): TemplateResult {
    return html`<nav aria-label="Views"><ul>
      ${VIEWS.map((row) => html`<li><a href="#/${row.id}" aria-current=${row === this.view ? "page" : nothing}>
        ${row.name}</a></li>`)}
    </ul></nav>`;
  }

  private keyDialog(): TemplateResult {
    return html`<dialog id="key" aria-labelledby="key-title">
      <form @submit=${this.saveKey}>
        <h2 id="key-title">This hub wants a key</h2>
        <p>${this.keyMessage}</p>
        <label for="key-field">Key</label>
        <input id="key-field" type="password" autocomplete="off" required>
        <p class="note">It is kept for this tab only.</p>
        <div class="actions"><button class="primary">Use it</button></div>
      </form></dialog>`;
  }

  private helpDialog(): TemplateResult {
    return html`<dialog id="help" aria-labelledby="help-title">
      <h2 id="help-title">Keys</h2>
      <dl>${SHORTCUTS.map(([key, what]) => html`<dt><kbd>${key}</kbd></dt><dd>${what}</dd>`)}</dl>
      <h2>Clients</h2>
      <p>OpenAI's clients: <code>${location.origin}/v1</code>. Anthropic's and Ollama's: <code>${location.origin}</code>.</p>
      <fieldset class="theme"><legend>Colours</legend>
        ${THEMES.map(([theme, name]) => html`<label><input type="radio" name="theme" .checked=${theme === this.theme}
          @change=${() => this.setTheme(theme)}> ${name}</label>`)}
      </fieldset>
      <form method="dialog" class="actions"><button class="primary">Close</button></form></dialog>`;
  }

  protected override render(): TemplateResult {
    return html`
      <a class="skip" href="#main" @click=${(e: Event) => (e.preventDefault(), this.querySelector<HTMLElement>("main")!.focus())}>To the content</a>
      <header class="topbar">
        ${this.view.id === "chat"
          ? html`<button type="button" class="quiet menu-toggle" aria-expanded=${this.isHistoryOpen} aria-controls="side"
              @click=${() => (this.isHistoryOpen = !this.isHistoryOpen)} aria-label="Conversations">☰</button>`
          : nothing}
        <a class="brand" href="#/chat"><img src="/icon.svg" alt="" width="22" height="22">Hearth</a>
        ${this.nav()}
        <button type="button" class="quiet narrow-only" aria-label="New chat" @click=${() => (chat.startNew(), (location.hash = "#/chat"))}>+</button>
        <button type="button" class="quiet help" aria-label="Keys, clients, colours" @click=${() => this.dialog("help").showModal()}>?</button>
      </header>
      <div class="body">
        ${this.view.id === "chat"
          ? html`<aside id="side" class=${this.isHistoryOpen ? "open" : ""} aria-label="Conversations"
              @chosen=${() => (this.isHistoryOpen = false)}><history-list></history-list></aside>`
          : nothing}
        <main id="main" tabindex="-1" class="view-${this.view.id}">${this.view.render(this.rest)}</main>
      </div>
      <consent-dialog></consent-dialog>${this.keyDialog()}${this.helpDialog()}`;
  }
}
