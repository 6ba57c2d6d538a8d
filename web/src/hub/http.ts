// Requests to the hub that served this page, and to nobody else.
//
// Where the hub wants a key, the page asks for it once and keeps it for this tab only: in
// sessionStorage, which ends with the tab, and in no link, log or history.

const KEY = "hearth-key";

export class HubError extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

export const hubKey = {
  get: (): string => sessionStorage.getItem(KEY) ?? "",
  set: (key: string): void => (key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY)),
};

// Told when the hub refuses for want of a key.
let onKeyNeeded: (message: string) => void = () => {};
export function whenKeyNeeded(told: (message: string) => void): void {
  onKeyNeeded = told;
}

// The sentence in an error's body, whatever the protocol's shape; else the status.
export function errorMessage(status: number, body: string): string {
  try {
    const json: unknown = JSON.parse(body);
    const error = (json as {error?: unknown}).error;
    if (typeof error === "string") return error;
    const message = (error as {message?: unknown} | undefined)?.message;
    if (typeof message === "string") return message;
  } catch {
    // Not JSON: the status has to do.
  }
  return `the hub answered with status ${status}`;
}

export async function hubFetch(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const key = hubKey.get();
  if (key) headers.set("Authorization", `Bearer ${key}`);
  if (init.body) headers.set("Content-Type", "application/json");
  let response: Response;
  try {
    response = await fetch(path, {...init, headers});
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new HubError(0, "the hub can't be reached; is it still running?");
  }
  if (response.ok) return response;
  const message = errorMessage(response.status, await response.text());
  if (response.status === 401 && key === hubKey.get()) onKeyNeeded(message); // Else there is a newer one already.
  throw new HubError(response.status, message);
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await (await hubFetch(path, {signal})).json()) as T;
}

export async function postJson<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  return (await (await hubFetch(path, {method: "POST", body: JSON.stringify(body), signal})).json()) as T;
}
