// What a person sees who opens the address of a hub that was built without the page.
#pragma once

#include <string_view>

namespace hearth::server {

inline constexpr std::string_view kRootPage = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Hearth</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem;
       color: #222; background: #fdfcfa; }
code { background: #f0ede8; padding: 0 .25em; border-radius: 3px; }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #1b1a18; } code { background: #2b2926; }
       a { color: #e8a35c; } }
</style>
</head>
<body>
<h1>Hearth</h1>
<p>This is a hybrid AI hub: it answers with models on this machine, and asks a cloud model for advice
only when that pays and only what you allow.</p>
<p>The page is not in this program: install Node.js 18 or later and npm, then build it again (<code>./run</code>).</p>
<p>Point any OpenAI client at this address with <code>/v1</code> behind it, or an Anthropic or Ollama client at
this address as it is, and ask for the model
<code>auto</code> (the hub decides) or <code>local</code> (nothing may leave this machine):</p>
<ul>
<li>OpenAI: <code>POST /v1/chat/completions</code>, <code>/v1/responses</code>, <code>/v1/completions</code>,
<code>/v1/embeddings</code>, <code>/v1/rerank</code></li>
<li>Anthropic: <code>POST /v1/messages</code>, <code>/v1/messages/count_tokens</code></li>
<li>Ollama: <code>POST /api/chat</code>, <code>/api/generate</code>, <code>/api/embed</code>, <code>/api/show</code>,
<a href="/api/tags"><code>GET /api/tags</code></a>, <a href="/api/ps"><code>/api/ps</code></a></li>
<li><a href="/v1/models"><code>GET /v1/models</code></a>: the models of this machine</li>
<li><a href="/health"><code>GET /health</code></a> and <a href="/metrics"><code>GET /metrics</code></a></li>
</ul>
<p>Each answer has a receipt, in the header <code>x-hearth-receipt</code> or in the last chunk's member
<code>hearth</code>; <code>hearth ledger show ID</code> prints it.</p>
</body>
</html>
)";

}  // namespace hearth::server
