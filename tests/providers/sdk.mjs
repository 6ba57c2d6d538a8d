// The providers' own clients, as others use them: reads jobs as a JSON array from stdin, asks each, and
// prints what each client made of the answer.  A job: {wire, url, key, model, system, content, tool, max}.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.CLIENTS}/package.json`);
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const { default: OpenAI } = await load("openai");
const { default: Anthropic } = await load("@anthropic-ai/sdk");
const { GoogleGenAI } = await load("@google/genai");

const ask = {
  async openai({ url, key, model, system, content, tool, max }) {
    const client = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0 });
    const stream = client.chat.completions.stream({
      model, store: false, stream_options: { include_usage: true }, max_completion_tokens: max,
      messages: [{ role: "system", content: system }, { role: "user", content }],
      ...(tool && { tools: [{ type: "function", function: tool }] }),
    });
    const { choices: [{ message, finish_reason }], usage } = await stream.finalChatCompletion();
    return {
      text: message.content, finish: finish_reason,
      calls: (message.tool_calls ?? []).map((call) => call.function.arguments),
      prompt: usage.prompt_tokens, output: usage.completion_tokens,
    };
  },
  async responses({ url, key, model, system, content, tool, max }) {
    const client = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0 });
    const stream = await client.responses.create({
      model, store: false, stream: true, instructions: system, max_output_tokens: max,
      input: [{ role: "user", content }],
      ...(tool && { tools: [{ type: "function", ...tool, strict: false }] }),
    });
    const all = { text: "", calls: [] };
    for await (const event of stream) {
      if (event.type === "response.output_text.delta") all.text += event.delta;
      if (event.type === "response.output_item.done") all.calls.push(event.item.arguments);
      if (event.type === "response.completed") {
        all.finish = event.response.status;
        all.prompt = event.response.usage.input_tokens;
        all.output = event.response.usage.output_tokens;
      }
    }
    return all;
  },
  async anthropic({ url, key, model, system, content, tool, max }) {
    const client = new Anthropic({ baseURL: url.replace(/\/v1$/, ""), apiKey: key, maxRetries: 0 });
    const message = await client.messages.stream({
      model, max_tokens: max, system: [{ type: "text", text: system }],
      messages: [{ role: "user", content: [{ type: "text", text: content }] }],
      ...(tool && { tools: [{ name: tool.name, description: tool.description, input_schema: tool.parameters }] }),
    }).finalMessage();
    const { input_tokens, cache_read_input_tokens, cache_creation_input_tokens, output_tokens } = message.usage;
    return {
      text: message.content.filter((block) => block.type === "text").map((block) => block.text).join(""),
      calls: message.content.filter((block) => block.type === "tool_use").map((block) => JSON.stringify(block.input)),
      finish: message.stop_reason, output: output_tokens,
      prompt: input_tokens + cache_read_input_tokens + cache_creation_input_tokens,
    };
  },
  async gemini({ url, key, model, system, content, tool, max }) {
    const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: new URL(url).origin } });
    const stream = await client.models.generateContentStream({
      model, contents: [{ role: "user", parts: [{ text: content }] }],
      config: {
        systemInstruction: system, maxOutputTokens: max,
        ...(tool && { tools: [{ functionDeclarations: [
          { name: tool.name, description: tool.description, parametersJsonSchema: tool.parameters }] }] }),
      },
    });
    const all = { text: "", calls: [] };
    for await (const chunk of stream) {
      for (const part of chunk.candidates?.[0]?.content?.parts ?? []) {
        if (part.functionCall) all.calls.push(JSON.stringify(part.functionCall.args));
        else if (!part.thought) all.text += part.text ?? "";
      }
      all.finish = chunk.candidates?.[0]?.finishReason ?? all.finish;
      all.prompt = chunk.usageMetadata?.promptTokenCount ?? all.prompt;
      all.output = (chunk.usageMetadata?.candidatesTokenCount ?? 0) + (chunk.usageMetadata?.thoughtsTokenCount ?? 0);
    }
    return all;
  },
};

let input = "";
for await (const piece of process.stdin) input += piece;
const results = [];
for (const job of JSON.parse(input)) {
  try {
    results.push(await ask[job.wire](job));
  } catch (error) {
    results.push({ error: String(error.message ?? error), status: error.status ?? null });
  }
}
console.log(JSON.stringify(results));
