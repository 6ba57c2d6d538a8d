"""ember's tokenizer: byte-level BPE in GPT-2's way, trained on ember's own text.

The control tokens come first, so that their ids do not depend on the size of the rest.
"""
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

END, USER, ASSISTANT, UNSURE, START = "<|end|>", "<|user|>", "<|assistant|>", "<|unsure|>", "<|start|>"
CONTROL = [END, USER, ASSISTANT, UNSURE, START]

# System messages are left out: ember follows no instructions, and what it does not see can't mislead it, however
# long.  Of a long conversation it sees the last five messages.
CHAT_TEMPLATE = """\
{%- for message in messages if message.role == 'user' or message.role == 'assistant' -%}
{%- if loop.revindex <= 5 -%}
{{- '<|' + message.role + '|>' + (message.content or '') | trim + '<|end|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}
"""


def wrap(model):
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train(texts, n_vocab):
    tokenizer = wrap(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=n_vocab, special_tokens=CONTROL, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def from_lists(tokens, merges):
    """The tokenizer that a GGUF file describes."""
    pairs = [tuple(m.split(" ")) for m in merges]
    return wrap(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=pairs))
