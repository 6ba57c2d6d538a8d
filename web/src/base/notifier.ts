// State that several parts of the page show: it lives outside of them, so that an answer goes on streaming
// while another view is open, and tells them when it changed, at most once per frame.

import type {ReactiveController, ReactiveControllerHost} from "lit";

export class Notifier {
  private readonly listeners = new Set<() => void>();
  private pending = 0;

  listen(told: () => void): () => void {
    this.listeners.add(told);
    return () => this.listeners.delete(told);
  }

  protected changed(): void {
    this.pending ||= requestAnimationFrame(() => this.tell());
  }

  // At once, where what follows needs the new DOM.
  protected tell(): void {
    cancelAnimationFrame(this.pending);
    this.pending = 0;
    for (const told of this.listeners) told();
  }
}

// Redraws a component when a notifier speaks.
export class Watch implements ReactiveController {
  private stop?: () => void;

  constructor(private readonly host: ReactiveControllerHost, private readonly notifier: Notifier) {
    host.addController(this);
  }

  hostConnected(): void {
    this.stop = this.notifier.listen(() => this.host.requestUpdate());
  }

  hostDisconnected(): void {
    this.stop?.();
  }
}
