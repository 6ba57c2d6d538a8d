// The program as Mermaid writes it: rooms on their floors, and a chat request's way through them.

export interface Picture {
  id: string;
  name: string;
  about: string;
  source: string;
}

export const PICTURES: Picture[] = [
  {
    id: "rooms",
    name: "Rooms",
    about: "Each room of the program is on a floor, and knows only rooms below its own.",
    source: `flowchart TB
  accTitle: The rooms of the program
  accDescr: Nine floors, from the command line at the top to the base at the bottom; each room uses only rooms below it
  cli["<b>cli</b><br>verbs, settings"] --> server["<b>server</b><br>routes, keys, streaming, this page"]
  server --> api["<b>api</b><br>a folder for each protocol"]
  api --> hub["<b>hub</b><br>a request from plan to receipt"]
  hub --> engine["<b>engine</b><br>sessions, pages, batches"]
  hub --> advisor["<b>advisor</b><br>confidence, briefs, prices"]
  hub --> compute["<b>compute</b><br>kernels, verified"]
  hub --> convert["<b>convert</b><br>other formats to GGUF"]
  engine --> model["<b>model</b><br>architectures, forward pass"]
  hub --> store["<b>store</b><br>catalogue, packs"]
  model --> text["<b>text</b><br>tokens, templates, grammars"]
  model --> gguf["<b>gguf</b><br>the file format"]
  hub --> privacy["<b>privacy</b><br>what may leave"]
  compute --> device["<b>device</b><br>roofs of this machine"]
  device --> tensor["<b>tensor</b><br>types and products"]
  compute --> sandbox["<b>sandbox</b><br>jails"]
  hub --> ledger["<b>ledger</b><br>what left, at what price"]
  server --> net["<b>net</b><br>HTTP, events"]
  tensor --> base["<b>base</b><br>results, files, threads"]
  net --> base
  ledger --> base
  sandbox --> base`,
  },
  {
    id: "request",
    name: "A request's way",
    about: "Between the draft and the answer stands what may leave, at what price, and your word where the policy wants it.",
    source: `flowchart TB
  accTitle: The way of a chat request
  accDescr: From the client through access checks to the local model; where it is unsure, through policy, consent and ledger to an adviser and back
  client(["client or page"]) --> access["Host, Origin, key"] --> parse["JSON becomes a request"]
  parse --> plan["which model, is it loaded"] --> engine["pages, prefix cache, tokens"]
  engine --> sure{"sure enough?"}
  sure -- yes --> answer["answer and receipt"]
  sure -- no --> policy["policy judges, personal data becomes placeholders"]
  policy --> consent{"may it leave?"}
  consent -- no --> answer
  consent -- yes --> ledger["price reserved, exact bytes kept"] --> adviser(["adviser"])
  adviser --> finish["advice becomes a turn, the local model finishes"] --> answer
  answer --> client`,
  },
];
