// What the page keeps in this browser: conversations in IndexedDB, settings in localStorage.  Nothing of it
// leaves.

const DATABASE = "hearth";
const VERSION = 1;

function promised<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error as Error);
  });
}

function openDatabase(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, VERSION);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("conversations", {keyPath: "id"});
  };
  return promised(request);
}

let opened: Promise<IDBDatabase> | undefined;

async function table(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  opened ??= openDatabase();
  return (await opened).transaction("conversations", mode).objectStore("conversations");
}

// Done once it is kept whatever happens: a page that is left takes back what is not.
async function change(act: (rows: IDBObjectStore) => void): Promise<void> {
  const rows = await table("readwrite");
  await new Promise<void>((resolve, reject) => {
    rows.transaction.oncomplete = () => resolve();
    rows.transaction.onabort = () => reject(rows.transaction.error as Error);
    act(rows);
  });
}

// Rows with an `id`; where the browser keeps nothing (private windows), reading finds nothing and
// writing says so.
export const conversationStore = {
  all: async <T>(): Promise<T[]> => promised((await table("readonly")).getAll() as IDBRequest<T[]>),
  put: (row: {id: string}): Promise<void> => change((rows) => rows.put(row)),
  remove: (id: string): Promise<void> => change((rows) => rows.delete(id)),
};

export function loadSetting<T>(name: string, fallback: T): T {
  try {
    const text = localStorage.getItem(`hearth-${name}`);
    return text === null ? fallback : (JSON.parse(text) as T);
  } catch {
    return fallback;
  }
}

export function saveSetting(name: string, value: unknown): void {
  try {
    localStorage.setItem(`hearth-${name}`, JSON.stringify(value));
  } catch {
    // A full or forbidden store loses a setting, which is no reason to stop.
  }
}
