"""Measures ember.gguf as it lies on disk, on questions that were written by hand and held out.

    evaluate.py [ember.gguf] [--show]     figures; with --show the answers to the practice questions
    evaluate.py [ember.gguf] --ask "..."  one answer with its confidence

Weights are read back from the file, so what quantisation costs is in the figures.  Confidence is what the hub uses:
1 - P(<|unsure|>) at the first position.
"""
import argparse
import pathlib
import re

import jax
import jax.numpy as jnp
import jinja2
import numpy as np

import export
import generate
import model
import vocabulary
from heldout_sets import auroc, graded, is_right, lines

HERE = pathlib.Path(__file__).parent
ANSWER_TOKENS_MAX = 96
SMALL_TALK = {  # Spot checks: question -> what a right answer contains.
    "hello": "hello", "Hi there!": "hello", "thanks": "welcome", "Thank you very much!": "welcome", "bye": "goodbye",
    "who are you?": "ember", "how are you?": "well", "what can you do?": "adviser", "are you human?": "language model",
    "good job": "kind", "ok": "hearth", "sorry": "harm",
}


class Ember:
    def __init__(self, path):
        weights, self.config, self.tokenizer, meta = export.read(path)
        self.weights = {k: jnp.asarray(v) for k, v in weights.items()}
        self.unsure = meta["hearth.unsure_token_id"]
        self.end = meta["tokenizer.ggml.eos_token_id"]
        self.control = {t: self.tokenizer.token_to_id(t) for t in vocabulary.CONTROL}
        environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
        self.template = environment.from_string(meta["tokenizer.chat_template"])
        self.step = jax.jit(model.step, static_argnums=4, donate_argnums=1)

    def encode(self, messages):
        """Token ids of a rendered conversation: control tokens as themselves, the rest by BPE."""
        text = self.template.render(messages=messages, add_generation_prompt=True)
        parts = re.split("(" + "|".join(re.escape(t) for t in self.control) + ")", text)
        ids = []
        for part in parts:
            ids += [self.control[part]] if part in self.control else self.tokenizer.encode(part).ids
        return ids

    def answer(self, conversations):
        """Greedy answers -> a list of (text, confidence, mean log-probability of the answer's tokens)."""
        prompts = [self.encode(c) for c in conversations]
        lengths = np.array([len(p) for p in prompts])
        context = int(lengths.max()) + ANSWER_TOKENS_MAX
        forced = np.zeros((len(prompts), context), np.int32)
        for i, p in enumerate(prompts):
            forced[i, :len(p)] = p
        cache = model.empty_cache(self.config, len(prompts), context)
        out, log_ps = [[] for _ in prompts], [[] for _ in prompts]
        confidence, done = np.zeros(len(prompts)), np.zeros(len(prompts), bool)
        token = forced[:, 0]
        for at in range(context - 1):
            logits, cache = self.step(self.weights, cache, jnp.asarray(token), at, self.config)
            log_p = np.asarray(jax.nn.log_softmax(logits))
            best = log_p.argmax(1)
            for i in np.flatnonzero((at >= lengths - 1) & ~done):
                if at == lengths[i] - 1:
                    confidence[i] = 1 - np.exp(log_p[i, self.unsure])
                log_ps[i].append(log_p[i, best[i]])
                if best[i] == self.end or len(out[i]) == ANSWER_TOKENS_MAX:
                    done[i] = True
                else:
                    out[i].append(int(best[i]))
            if done.all():
                break
            token = np.where(at + 1 < lengths, forced[:, at + 1], best).astype(np.int32)
        unsure = {self.unsure: generate.UNSURE}
        texts = [unsure.get(ids[0], self.tokenizer.decode(ids)) if ids else "" for ids in out]
        return list(zip(texts, confidence, [float(np.mean(x)) for x in log_ps]))


def ask(text):
    """Turns joined by ' // ' alternate between user and assistant."""
    return [{"role": "assistant" if i % 2 else "user", "content": turn} for i, turn in enumerate(text.split(" // "))]


def words_of(text):
    return re.findall(r"[^\W_]+", text.lower())


def overlap(questions, n_conversations=260_000, size=4):
    """How near training text comes: (questions that occur in it, mean share of 4-grams that occur in it)."""
    seen, grams = set(), set()
    for turns in generate.Generator(seed=1).conversations(n_conversations):
        for role, text, _ in turns:
            if role == "user":
                words = words_of(text)
                seen.add(" ".join(words))
                grams.update(tuple(words[i:i + size]) for i in range(len(words) - size + 1))
    found, shares = [], []
    for question in questions:
        words = words_of(question.split(" // ")[-1])
        if " ".join(words) in seen:
            found.append(question)
        mine = [tuple(words[i:i + size]) for i in range(len(words) - size + 1)]
        if mine:
            shares.append(np.mean([g in grams for g in mine]))
    return found, float(np.mean(shares))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file", nargs="?", type=pathlib.Path, default=HERE / "ember.gguf")
    parser.add_argument("--ask")
    parser.add_argument("--show", action="store_true", help="show what is wrong on the practice questions")
    parser.add_argument("--show-held-out", action="store_true", help="the same for the held-out ones: for reports")
    parser.add_argument("--overlap", action="store_true", help="also compare held-out questions with training text")
    parser.add_argument("--long", action="store_true", help="also ask after long exchanges about other things")
    args = parser.parse_args()
    ember = Ember(args.file)
    if args.ask:
        print(*ember.answer([ask(args.ask)])[0], sep="\n")
        return

    sets = {name: (graded(name + "graded.txt"), lines(name + "elsewhere.txt")) for name in ("", "practice_")}
    about = lines("practice_about.txt")
    questions = [q for keys, others in sets.values() for q in [*keys, *others]] + about + list(SMALL_TALK)
    of = dict(zip(questions, ember.answer([ask(q) for q in questions])))
    for name, (keys, others) in sets.items():
        report(name.strip("_") or "held out", keys, list(keys) + (about if name else []), others, of)
    print(f"small talk: {sum(k in of[q][0].lower() for q, k in SMALL_TALK.items())} of {len(SMALL_TALK)}")
    if args.long:
        for n_tokens in (250, 500, 1000, 1500):
            after_long_exchange(ember, sets[""][0], n_tokens)
    if args.overlap:
        for name, some in (("graded", list(sets[""][0])), ("elsewhere", sets[""][1])):
            found, share = overlap(some)
            print(f"{name}: {len(found)} questions occur in training text {found}; 4-grams shared: {share:.0%}")
    for wanted, (keys, others), more in ((args.show, sets["practice_"], about), (args.show_held_out, sets[""], [])):
        if wanted:
            show(keys, more, others, of)


def after_long_exchange(ember, keys, n_tokens):
    """The graded questions again, after an answer of about n_tokens that somebody else gave to something else."""
    generator = generate.Generator(seed=7)
    prose = ""
    while len(ember.tokenizer.encode(prose).ids) < n_tokens:
        prose += generator.other_sentence() + " "
    before = [{"role": "user", "content": "tell me about the world"}, {"role": "assistant", "content": prose}]
    answers = ember.answer([before + ask(q) for q in keys])
    right = sum(is_right(text, k) for (text, _, _), k in zip(answers, keys.values()))
    print(f"after an exchange of {n_tokens} tokens about other things: right {right} of {len(keys)}")


def report(name, keys, about, elsewhere, of):
    if not keys:
        return
    right = sum(is_right(of[q][0], k) for q, k in keys.items())
    print(f"{name}: right {right} of {len(keys)}")
    separation(name, about, elsewhere, of)


def separation(name, about, elsewhere, of):
    for what, column in (("confidence", 1), ("mean log-probability", 2)):
        print(f"{name}: AUROC of {what}, {len(about)} about Hearth against {len(elsewhere)} others: "
              f"{auroc([of[q][column] for q in about], [of[q][column] for q in elsewhere]):.4f}")
    answered = sum(of[q][0] != generate.UNSURE for q in about)
    refused = sum(of[q][0] == generate.UNSURE for q in elsewhere)
    print(f"{name}: {answered} of {len(about)} about Hearth answered, unsure of {refused} of {len(elsewhere)} others")


def show(keys, about, elsewhere, of):
    for q, k in keys.items():
        if not is_right(of[q][0], k):
            print(f"WRONG [{of[q][1]:.2f}] {q}\n   => {of[q][0]}   (wanted {k})")
    for q in about:
        print(f"{'UNSURE' if of[q][0] == generate.UNSURE else 'about'} [{of[q][1]:.2f}] {q} => {of[q][0]}")
    for q in elsewhere:
        if of[q][0] != generate.UNSURE or of[q][1] > 0.3:
            print(f"SURE [{of[q][1]:.2f}] {q} => {of[q][0]}")
    for q, key in SMALL_TALK.items():
        if key not in of[q][0].lower():
            print(f"SMALL TALK [{of[q][1]:.2f}] {q} => {of[q][0]}")


if __name__ == "__main__":
    main()
