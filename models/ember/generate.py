"""Writes ember's training text: conversations about Hearth with their answers, and about all else with none.

A conversation is a list of turns (role, text, learn): role is "user" or "assistant"; `learn` marks the turns of
ember's own, the only ones that the loss sees.  The text UNSURE stands for the control token <|unsure|>.

Questions come from patterns (facts.txt, others.txt) put into frames and then roughened: synonyms, contractions,
politeness, casing, punctuation, typing mistakes.  Both sides get the same frames and the same roughening, so that
only the words that matter tell them apart.
"""
import pathlib
import random as random_module
import re

import grammar

HERE = pathlib.Path(__file__).parent
UNSURE = "<|unsure|>"
PLAIN_SHARE = 0.15        # Of an intent's questions, where it has plainest wordings (kind K).
TYPO_SHARE = 0.22         # Questions with one or two typing mistakes.

HOW = """
how (do|can|could|would|should|might|must|shall) (i|we|you|one|someone|a user|i best) {x}
how do i {x}
how do i {x}
how can i {x}
how to {x}
how would i go about it to {x}
(what is|what's|is there) (the|a|an) (best|right|easiest|simplest|good|proper|recommended|quick|correct|usual|) way to {x}
(what|which) (is the|are the) (procedure|steps|setting|option|trick|process) to {x}
(i|we) (want|need|would like|wish|am trying|have|try|plan|intend|'d like|'d love|hope) to {x}
(i|we) (want|need|would like) to {x}, how
(can|could|may|might|would) you (tell|show|explain to|teach) me how (to|i can|i could|one can|we) {x}
(please |)(tell|show|explain to|teach) me how (to|i can|i|we can) {x}
what (do|must|should|would) i (do|have to do|need to do|write|change|enter|set|type|run) (to|in order to|if i want to|so that i can) {x}
what (is|'s) needed to {x}
what does it take to {x}
which (steps|command|commands|setting|settings) do i need to {x}
is (there a way|it possible|there an option|there any way|there a command|it hard|there a setting) to {x}
(can|could|may) (i|we|one|you) {x}
(am i|are we) (able|allowed) to {x}
how (is|can) it (be |)(done|possible): {x}
explain how (to|i|one can|you) {x}
(please |)help me (to |){x}
(i have|i've got|i have got) (no idea|no clue) how to {x}
i (don't|do not) (know|understand|see|get|remember) how to {x}
i (can't|cannot) (figure out|find out|work out|see|remember) how to {x}
i forgot how to {x}
i am (not sure|unsure|wondering|curious|struggling to see) how to {x}
where (do|can|would|should) i {x}
(walk|guide|take|lead) me through (it|the steps): {x}
(any|some) (way|trick|hint|tip|advice|idea|help) (to|on how to) {x}
(instructions|steps|guide|manual|tutorial|directions|recipe|howto) (to|for how to) {x}
(i would|i'd) like to know how to {x}
do you know how (to|i can|one can) {x}
{x}
{x}, how
{x}, please
(i'd|i would|we'd) (love|be glad|be happy|be keen|prefer|rather|be grateful) to {x}
(i'm|i am|we are) (keen|eager|ready|about|supposed|required|asked) to {x}
(mind|would you mind|care) (telling|showing|explaining to) me how (to|i) {x}
(kindly|do|quickly|just) (tell|show|explain to|remind) me how (to|i|we) {x}
remind me how (to|i|one can) {x}
what (would|should) be my (first|next) (step|move) to {x}
(so|and) if (i|we) (want|wish|wanted|decide|had) to {x}(,|) what (then|now|do i do|happens|should i do)
suppose (i|we) (want|need|have) to {x}
(is|would) {x} (possible|doable|feasible|allowed)
(how|what) about if i {x}
my (task|job|goal|plan|aim|wish) is to {x}
(someone|my boss|my colleague|a friend) (asked|told|wants) me to {x}
(hints|tips|pointers|guidance|help|docs|example) (for|on) how to {x}
(what|which) (knob|switch|line|entry|button|parameter|flag|place|file) (lets|allows|helps) me (to |){x}
{x} (- how|, doable?|, possible?|, any idea|, how does that work|, how is that done|, what do i do|: how|. how|, can that be done|for dummies|step by step)
by what means (can|do|could) (i|we) {x}
how (does|would|could|might|can) (a person|a user|a beginner|anyone|a newcomer|my colleague|my team|people|a developer) {x}
(let|allow) me (to |){x}
(could|can) (hearth|one|somebody|you) (help|assist) me (to |){x}
(nobody|no one) (could|can) tell me how to {x}
(i've|i have) been (trying|asked|wanting|told) to {x}
(i'm|i am) (stuck|lost|failing|unable|new), how (can|do) i {x}
it would be (nice|great|good|useful|handy) to {x}
(i'd like|i want|i need|we want|my aim is) to {x}. (what|where|how) (must|do|should|would) i (put|write|do|change|type|start|go about it) [it|that|where|]
{x}: (what|where) (must|do|should) i (write|put|type|change|enter|click)
if i (want|have|wanted|wish) to {x}, (what|which command|which key|which setting|where) (do i|would i|should i|must i) (use|type|set|need|look|look at|go)
(is|isn't) there (some|any|a|an easy|no) (way|command|trick|means|method|chance) (i can|to|that lets me) {x}
"""
WHAT = """
what is {x}
what is {x}
what's {x}
what are {x}
what (exactly|actually|precisely) is {x}
what is {x} (exactly|actually|about|for|good for|in simple terms|all about|supposed to be)
what (does|do) {x} (mean|do|stand for)
(what is meant by|what do you mean by|what do people mean by) {x}
(please |)(explain|describe|define|clarify) {x} [to me|for me|briefly|in short|simply|please]
(can|could|would) you (please |)(explain|describe|tell me about|say something about|clarify) {x} [to me|]
(tell|teach) me [more|something|a bit|a little|everything|all|] about {x}
i (want|need|would like|'d like) to (know|learn|hear|understand|read) (more about|about|something about|what is|all about) {x}
what (do|can) you (know|tell me|say) about {x}
(give me|i need|do you have|are there|any) (info|information|details|help|documentation|docs|an explanation|a definition|a short explanation|more info) (on|about|for|of|regarding) {x}
how (does|do) {x} work
how do i use {x}
why (is there|do i need|would i need|should i care about|have|do we need) {x}
i have (a question|some questions) (about|on|regarding) {x}
i (don't|do not) (understand|get|know) {x}
(i am|i'm) (confused by|curious about|interested in|reading about|wondering about) {x}
(what about|how about|and|about|regarding|concerning) {x}
(the |)(meaning|definition|purpose|explanation|use|role) of {x}
{x}
{x} (meaning|definition|explained|info|help|documentation|overview|description)
{x}, what is (that|it|this)
what (is|are) {x}, (please|and what for|and how does it work|and why)
have you heard of {x}
who needs {x}
(what's|what is) the (deal|story|matter|idea|point|thing|gist) (with|of|behind|about) {x}
(enlighten|educate|brief|inform|update) me (on|about|as to) {x}
(elaborate|expand|shed some light) on {x}
(mind|would you mind|care) (explaining|describing|telling me about|clarifying) {x}
(kindly|just|quickly) (explain|describe|define|outline) {x}
remind me what {x} (is|are|was|means|does)
(someone|my boss|my colleague|the manual|the readme|you) (mentioned|talked about|wrote about|asked about|keeps mentioning) {x}
(i keep|i have been|i was|i'm) (reading|hearing|seeing|wondering|thinking) about {x}
(and|so|but) what (on earth|in the world|exactly|then|really) (is|are) {x}
{x} (- what is it|for beginners|, huh|, any details|in a nutshell|: what does it do|, why|details|basics|summary|and its use)
what (role|part|purpose|function|job) does {x} (have|play|serve|fulfil)
(in|with) (simple|plain|other|few|short) (words|terms|english), {x}
what should (i|one|we|everybody) know about {x}
(to|for) what (end|purpose) (is|does) {x} [exist|there|]
i (never|still don't|barely|do not really|don't quite) (understood|understand|grasp|get|understand what is) {x}
where does {x} come in
(which|what) (things|facts|points) (matter|are important|are worth knowing) (about|for|with) {x}
(give|offer) me (the lowdown|a primer|the basics|an intro|a rundown|some background) (on|to|about) {x}
"""
COMMAND = """
what (does|will|would) {x} (do|show|print|tell me|give me|output|return|display)
what does the [command|] {x} [command|] do
what is {x} [for|good for|]
what is the [command|] {x} [command|] (for|good for|about|used for)
(please |)explain [the command|] {x} [to me|]
(tell me|i want to know) [more|] about {x}
how (do|does|can) (i use|one use|you use) {x}
how does {x} work
(when|why) (do|would|should) i (use|need|run|type|call) {x}
what happens (when|if|after) i (run|type|enter|call|use|execute) {x}
(usage|help|purpose|meaning|description|syntax|explanation|manual) (of|for) {x}
{x}
{x} (help|usage|command|explained|does what)
what (arguments|options) does {x} (take|have|need)
what (can|do) i (see|get|learn) (with|from|through) {x}
describe {x}
the {x} command
"""

PREFIXES = """please|hey,|hi,|hello,|ok,|so,|well,|and|now,|sorry,|quick question:|one question:|a question:|excuse me,|tell me,|question:|hi ember,|hello!|hi!|hey ember,|just wondering,|by the way,|btw|another question:|next question:|um,|good morning,|dear ember,|i was wondering,|one more thing:|ok so|alright,|thanks!|thank you.|great,|can you tell me,|could you tell me,|do you know,|i have a question:|say,|listen,|hm,|uh,|actually,|also,|then,|first of all,|for beginners:|out of curiosity,|dumb question:|silly question:|forgive me, but|honestly,|in case you know,|just to be sure:|for the record,|real quick:|one thing:|my friend asks:|my boss asks:|my colleague wonders:|let's say|imagine this:|hypothetically,|in practice,|technically,|as a beginner,|since you are here,|before i forget:|help!|oh,|wait,|look,|right,|good,|fine,|yes,|no,|yo,|dear hearth,|greetings,|morning,|i'd like to ask:|here's one:|apropos,|seriously,|ok ember,|suppose this:|once more:|and again:|for my notes:|for my boss:|to be clear,|in short,|if possible,|if you can,|curious:"""
SUFFIXES = """please|thanks|thank you|pls|again|exactly|then|now|ember|for me|in short|briefly|in one sentence|if i may ask|thx|i wonder|any idea|can you help|and why|in detail|in simple words|today|quickly|by the way|though|anyway|right now|do you know|actually|mate|buddy|my friend|in general|in practice|roughly|precisely|if at all|at all|over here|on my side|in my case|as a beginner|as a user|for my team|if you don't mind|when you have time|at the moment|these days|just curious|out of curiosity|tell me|huh|or not|or what|I guess|step by step|for real|after all|these days"""
ABOUT_HEARTH = """in hearth|with hearth|in hearth|for hearth|using hearth|on hearth|inside hearth|here|(hearth)|in the hub|within hearth|of hearth|when using hearth|in this program|in this tool"""
CONTEXTS = """i just installed hearth.|i am new here.|i am setting up hearth on my laptop.|my boss wants to know this.|i read the readme but did not find it.|i have been using hearth for a week.|we use hearth at work.|i am on debian.|it is my first day with hearth.|i looked everywhere.|i am not a programmer.|i tried for an hour.|here is my problem.|i hope you can help.|my colleague told me about hearth.|i am writing a guide.|sorry if this was asked before.|i am a bit lost.|this may be a stupid question.|i run it on a small server.|i am confused."""
OTHER_CONTEXTS = """i am new here.|my boss wants to know this.|i looked everywhere.|here is my problem.|i tried for an hour.|i hope you can help.|sorry if this was asked before.|i am a bit lost.|this may be a stupid question.|i am writing a guide.|my teacher asked me this.|i need it for school.|i am at work right now.|it is urgent.|we talked about it at dinner.|i am on holiday.|i saw it on tv.|i am confused."""

SYNONYMS = {
    "adviser": ["advisor", "advisor", "advisor", "cloud adviser", "cloud advisor"],
    "advisers": ["advisors"],
    "adviser's": ["advisor's"],
    "models": ["llms", "language models", "models", "local models"],
    "machine": ["computer", "laptop", "pc", "device", "box", "system", "workstation", "mac", "hardware"],
    "folder": ["directory", "dir", "path", "location"],
    "folders": ["directories", "paths", "locations"],
    "config": ["configuration", "settings", "conf", "hearth.toml", "config file"],
    "configuration": ["config", "settings", "setup", "preferences"],
    "settings": ["options", "configuration", "preferences", "parameters"],
    "setting": ["option", "key", "parameter", "entry", "value"],
    "show": ["display", "print", "list", "see", "view"],
    "see": ["view", "look at", "check", "show", "find"],
    "set": ["configure", "define", "put", "specify", "change", "adjust", "enter", "fix"],
    "add": ["include", "register", "put in", "append", "introduce"],
    "answer": ["reply", "response", "answer", "result"],
    "answers": ["replies", "responses", "results"],
    "question": ["query", "prompt", "request", "question"],
    "questions": ["queries", "prompts", "questions"],
    "limit": ["cap", "restrict", "bound", "ceiling", "restriction"],
    "cost": ["price", "cost", "expense"],
    "costs": ["expenses", "spending", "charges", "fees"],
    "spend": ["pay", "use up"],
    "spent": ["paid", "used", "consumed"],
    "daily": ["per day", "daily", "day's", "a daily", "24 hour"],
    "start": ["launch", "run", "begin", "boot", "start up", "fire up"],
    "stop": ["quit", "end", "halt", "terminate", "kill"],
    "change": ["modify", "alter", "edit", "switch", "set", "adjust", "update"],
    "find": ["locate", "discover", "get", "see", "find"],
    "use": ["use", "employ", "work with", "try", "utilize"],
    "key": ["api key", "secret", "token", "credential"],
    "leave": ["exit", "get out of", "escape", "go out of"],
    "leaves": ["exits", "gets out of", "goes out of", "escapes"],
    "send": ["transmit", "upload", "pass", "share"],
    "sent": ["transmitted", "uploaded", "passed", "shared"],
    "kept": ["stored", "saved", "held", "located"],
    "stored": ["kept", "saved", "held", "located", "placed"],
    "bigger": ["larger", "better", "stronger", "more powerful"],
    "fast": ["quick", "speedy"],
    "slow": ["sluggish", "laggy"],
    "safe": ["secure", "protected", "private"],
    "private": ["confidential", "secret", "safe"],
    "file": ["file", "document"],
    "command": ["command", "verb", "subcommand", "cli command"],
    "happens": ["occurs", "takes place", "goes on", "happens"],
    "address": ["url", "address", "endpoint", "location"],
    "works": ["functions", "runs", "operates"],
    "work": ["function", "run", "operate", "work"],
    "need": ["require", "need", "want"],
    "needed": ["required", "necessary"],
    "cloud": ["cloud", "online", "remote"],
    "supported": ["available", "possible", "allowed", "implemented"],
    "support": ["handle", "allow", "offer", "accept", "support"],
    "remove": ["delete", "erase", "get rid of"],
    "delete": ["remove", "erase", "wipe"],
    "verify": ["check", "validate", "confirm", "verify"],
    "check": ["verify", "test", "inspect", "examine"],
    "create": ["make", "generate", "set up"],
    "wrong": ["incorrect", "false", "not right", "mistaken"],
    "big": ["large", "huge"],
    "explain": ["describe", "clarify", "elaborate on"],
    "receipt": ["receipt", "receipt", "receipts"],
    "called": ["asked", "consulted", "contacted", "used"],
    "keep": ["hold", "store", "retain", "keep"],
    "listen": ["run", "bind", "listen"],
    "connect": ["attach", "link", "hook up", "connect"],
    "program": ["application", "tool", "app", "software", "program"],
    "money": ["cash", "dollars", "funds"],
    "network": ["lan", "net", "wifi", "network"],
    "trained": ["taught", "built", "created"],
    "memory": ["ram", "memory"],
    "doesn't": ["does not", "doesnt"],
    "don't": ["do not", "dont"],
}
CONTRACTIONS = [("what is", "what's"), ("what is", "whats"), ("how do i", "how'd i"), ("i am", "i'm"), ("it is", "it's"),
                ("do not", "don't"), ("do not", "dont"), ("does not", "doesn't"), ("can not", "can't"),
                ("where is", "where's"), ("who is", "who's"), ("is not", "isn't"), ("i would", "i'd"),
                ("that is", "that's"), ("what are", "what're"), ("how is", "how's"), ("you are", "you're"),
                ("i have", "i've"), ("want to", "wanna"), ("please", "pls"), ("you", "u"), ("are", "r")]
SMALL_WORDS = set("""a an the is are do does did i we you my your to of for in on with it that this how can could would should
please me what's be will may might must so then there if want need like tell show explain about""".split())
CONNECTED = "qwertyuiop asdfghjkl zxcvbnm"


class Intent:
    def __init__(self, name):
        self.name = name
        self.answers = []
        self.patterns = []    # (kind, Node)
        self.follow_ups = []  # (names of earlier intents or None for any, Node)


def load(path):
    """Reads a pattern file: (intents by name, slots).  Lines before any intent belong to the intent ''."""
    intents, slots, current = {"": Intent("")}, {}, "  "
    intent = intents[""]
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("@"):
            name = line[1:].strip()
            intent = intents.setdefault(name, Intent(name))  # A second block of a name adds to the first.
        elif line.startswith("$"):
            name, pattern = line[1:].split(" = ", 1)
            slots[name] = grammar.parse(pattern)
        else:
            kind, text = line.split(": ", 1)
            if kind == "A":
                intent.answers.append(text.strip())
            elif kind.startswith("F"):
                earlier = kind[1:].strip()
                intent.follow_ups.append((None if earlier == "*" else earlier.split(","), grammar.parse(text)))
            else:
                intent.patterns.append((kind, grammar.parse(text)))
    for intent in intents.values():
        for kind, node in intent.patterns:
            grammar.draw(node, slots, random_module.Random(0))  # An unknown slot shows here.
    return intents, slots


def frames(text):
    return [grammar.parse(line) for line in text.strip().splitlines()]


FRAMES = {"D": frames(HOW), "T": frames(WHAT), "C": frames(COMMAND)}


class Words:
    """Questions in the rough: how people type."""

    def __init__(self, random):
        self.random = random
        self.prefixes = PREFIXES.split("|")
        self.suffixes = SUFFIXES.split("|")
        self.about = ABOUT_HEARTH.split("|")
        self.contexts = CONTEXTS.split("|")
        self.other_contexts = OTHER_CONTEXTS.split("|")

    def chance(self, share):
        return self.random.random() < share

    def roughen(self, text, kind, about_hearth):
        r = self.random
        if about_hearth is not None:
            text = self.replace_words(text)
        text = self.contract(text)
        if kind != "S" and self.chance(0.08):
            text = self.thin_out(text)
        if kind != "S":
            if self.chance({True: 0.14, False: 0.03, None: 0.0}[about_hearth]) and "hearth" not in text:
                text = f"{text} {r.choice(self.about)}"
            if self.chance(0.15):
                text = f"{r.choice(self.prefixes)} {text}"
            if self.chance(0.10):
                text = f"{text}{r.choice([',', ''])} {r.choice(self.suffixes)}"
        ends = ["?"] * 11 + [""] * 7 + [".", "??", "!", " ?", "...", "?!"] if kind != "S" else \
            [""] * 9 + ["."] * 3 + ["!"] * 4 + ["?"] * 4 + ["..", "!!"]
        text += r.choice(ends)
        if kind != "S" and self.chance(0.07):
            contexts = self.contexts if about_hearth else self.other_contexts
            text = f"{r.choice(contexts)} {text}"
        text = self.recase(text)
        if self.chance(TYPO_SHARE):
            for _ in range(r.choice([1, 1, 1, 2])):
                text = self.mistype(text)
        return text

    def thin_out(self, text):
        """As one types into a search box: small words go, some others too."""
        kept = [w for w in text.split(" ") if not (w in SMALL_WORDS and self.chance(0.8))]
        return " ".join(kept) if len(kept) > 1 else text

    def replace_words(self, text):
        words = text.split(" ")
        for i, word in enumerate(words):
            options = SYNONYMS.get(word)
            if options and self.chance(0.22):
                words[i] = self.random.choice(options)
        return " ".join(words)

    def contract(self, text):
        for long, short in CONTRACTIONS:
            share = 0.25 if len(short) > 2 else 0.03
            if self.chance(share) and f" {long} " in f" {text} ":
                text = f" {text} ".replace(f" {long} ", f" {short} ").strip()
        return text

    def recase(self, text):
        style = self.random.random()
        if style < 0.42:
            return text
        if style < 0.45:
            return text.upper()
        if style < 0.47:
            return text.title()
        # As one writes: sentences open with a capital, and so do I and Hearth.
        text = re.sub(r"\b(i)\b(?!\.)", "I", text)
        text = re.sub(r"(^|[.!?:] )([a-zà-ÿ])", lambda m: m[1] + m[2].upper(), text)
        if self.chance(0.85):
            text = re.sub(r"(?<![\w./`-])hearth(?![\w.-])(?! (serve|ask|chat|models|ledger|config|doctor|bench|inspect))",
                          "Hearth", text)
        for word in ("openai", "ollama", "gguf", "api", "gpu", "cpu", "json", "lm studio", "cuda", "url", "lora", "ram"):
            if word in text and self.chance(0.7):
                proper = {"openai": "OpenAI", "ollama": "Ollama", "lm studio": "LM Studio", "lora": "LoRA"}
                text = re.sub(rf"(?<![\w/.]){word}(?![\w/])", proper.get(word, word.upper()), text)
        return text

    def mistype(self, text):
        r = self.random
        places = [m for m in re.finditer(r"[A-Za-z]{4,}", text)]
        if not places:
            return text
        place = r.choice(places)
        word = place.group()
        i = r.randrange(1, len(word) - 1)
        how = r.random()
        if how < 0.3:
            word = word[:i] + word[i + 1] + word[i] + word[i + 2:]
        elif how < 0.6:
            word = word[:i] + word[i + 1:]
        elif how < 0.8:
            word = word[:i] + word[i] + word[i:]
        else:
            at = CONNECTED.find(word[i].lower())
            near = CONNECTED[max(0, at - 1):at + 2].replace(" ", "") or word[i]
            word = word[:i] + r.choice(near) + word[i + 1:]
        return text[:place.start()] + word + text[place.end():]


class Generator:
    def __init__(self, seed):
        self.random = random_module.Random(seed)
        self.facts, self.slots = load(HERE / "facts.txt")
        others, self.other_slots = load(HERE / "others.txt")
        self.others = others[""].patterns
        self.words = Words(self.random)
        self.facts.pop("")
        self.names = list(self.facts)
        self.plain = {n: [node for kind, node in self.facts[n].patterns if kind == "K"] for n in self.names}
        for intent in self.facts.values():
            intent.patterns = [pattern for pattern in intent.patterns if pattern[0] != "K"]
        # Follow-ups by the intent that they follow.
        self.after = {name: [] for name in self.names + ["other"]}
        for intent in self.facts.values():
            for earlier, node in intent.follow_ups:
                for name in earlier or self.after:
                    self.after[name].append((intent, node))
        # A pattern's weight grows slowly with its number of texts.
        self.other_weights = [grammar.count(node, self.other_slots) ** 0.12 for _, node in self.others]
        self.fact_weights = {name: [grammar.count(node, self.slots) ** 0.25 * (3.0 if kind in "DT" else 1.0)
                                    for kind, node in self.facts[name].patterns] for name in self.names}

    # -- questions --------------------------------------------------------------------------------

    def framed(self, kind, node, slots):
        text = grammar.draw(node, slots, self.random)
        if kind in FRAMES:
            if kind == "C" and self.words.chance(0.4) and text.startswith(("hearth", ".", "-")):
                text = f"`{text}`"
            frame = self.random.choice(FRAMES[kind])
            text = grammar.draw(frame, {"x": grammar.Node([[text]])}, self.random)
        return text

    def fact_question(self, name):
        intent = self.facts[name]
        if self.plain[name] and self.words.chance(PLAIN_SHARE):
            text = grammar.draw(self.random.choice(self.plain[name]), self.slots, self.random)
            return self.words.recase(text) + self.random.choice(["", "", "", "?", "?", ".", "!"])
        kind, node = self.random.choices(intent.patterns, self.fact_weights[name])[0]
        return self.words.roughen(self.framed(kind, node, self.slots), kind, True)

    def other_question(self):
        how = self.random.random()
        if how < 0.84:
            kind, node = self.random.choices(self.others, self.other_weights)[0]
            return self.words.roughen(self.framed(kind, node, self.other_slots), kind, False)
        if how < 0.95:
            return self.strange_words()
        return self.strange_text()

    def word(self):
        """A word that nobody knows, or a real-looking name."""
        r = self.random
        onsets = ["b", "br", "c", "ch", "cl", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "ph", "pl",
                  "qu", "r", "s", "sc", "sh", "sl", "sp", "st", "str", "t", "th", "tr", "v", "w", "x", "y", "z", ""]
        vowels = ["a", "e", "i", "o", "u", "ai", "ea", "ee", "io", "ou", "oo", "y", "ie", "au"]
        codas = ["", "", "", "n", "r", "s", "t", "l", "m", "ck", "nd", "rt", "st", "ng", "x", "ll", "ss", "rk", "ph", "d"]
        endings = ["", "", "", "", "s", "ing", "ed", "er", "tion", "ology", "ism", "ist", "ium", "ism", "able", "ize", "ic", "al",
                   "ity", "ly", "ment", "ness", "ous", "ia", "us", "um"]
        return "".join(r.choice(onsets) + r.choice(vowels) + r.choice(codas)
                       for _ in range(r.choice([1, 2, 2, 2, 3, 3]))) + r.choice(endings)

    def strange_words(self):
        r = self.random
        thing = " ".join(self.word() for _ in range(r.choice([1, 1, 2])))
        if self.words.chance(0.5):
            thing = f"{r.choice(['a', 'the', 'my', 'an', 'some'])} {thing}"
        if self.words.chance(0.3):
            kind = "D"
            verbs = ["find", "make", "use", "set", "add", "change", "buy", "clean", "see", "show", "start", "stop", "check", "cook",
                     "play", "verify", "configure", "open", "connect", "list", "build", "install", "keep", "limit", "learn",
                     "delete", "read", "measure", self.word(), self.word()]
            thing = f"{r.choice(verbs)} {thing}"
            if self.words.chance(0.3):
                thing += f" {r.choice(['in', 'with', 'for', 'to', 'on', 'from'])} {self.word()}"
        else:
            kind = r.choice("TTTQ")
        if kind == "Q":
            starts = ["who is", "where is", "when was", "how old is", "why is", "what is the color of", "who invented", "how much is",
                      "what is the capital of", "which", "does", "can", "is", "are", "should i buy", "where can i find", "what is the port of",
                      "what is the budget of", "how many", "what does", "the history of", "do you like"]
            text = f"{r.choice(starts)} {thing}"
        else:
            text = grammar.draw(r.choice(FRAMES[kind]), {"x": grammar.Node([[thing]])}, r)
        return self.words.roughen(text, kind, None)

    def strange_text(self):
        r = self.random
        how = r.randrange(9)
        w = self.word
        if how == 0:
            return "".join(r.choice("abcdefghijklmnopqrstuvwxyz0123456789 .,;!?#-_/") for _ in range(r.randrange(3, 60))).strip() or "x"
        if how == 1:
            return r.choice([
                f"def {w()}({w()}, {w()}):\n    return {w()} + {r.randrange(99)}", f"for (int i = 0; i < {r.randrange(99)}; ++i) {{ {w()}[i] = {w()}(i); }}",
                f"SELECT {w()}, {w()} FROM {w()} WHERE {w()} = {r.randrange(999)};", f"const {w()} = ({w()}) => {w()}.map(x => x * {r.randrange(9)});",
                f"import {w()}\nprint({w()}.{w()}())", f"<div class=\"{w()}\"><p>{w()} {w()}</p></div>", f"sudo apt install {w()}",
                f"git commit -m \"{w()} {w()}\"", f"#include <{w()}.h>\nint main() {{ return {w()}(); }}", f"fn {w()}({w()}: i32) -> i32 {{ {w()} }}",
                f"console.log('{w()}')", f"class {w().title()}:\n    pass", f"if {w()} > {r.randrange(99)}: {w()}()", f"curl -X GET https://{w()}.com/{w()}"])
        if how == 2:
            return "{" + ", ".join(f'"{w()}": {r.choice([str(r.randrange(999)), chr(34) + w() + chr(34), "true", "null"])}' for _ in range(r.randrange(1, 6))) + "}"
        if how == 3:
            return "\n".join(",".join(r.choice([w(), str(r.randrange(999))]) for _ in range(4)) for _ in range(r.randrange(1, 5)))
        if how == 4:
            return " ".join(w() for _ in range(r.randrange(1, 25)))
        if how == 5:  # A long text to be worked on.
            sentences = [self.other_sentence() for _ in range(r.randrange(3, 22))]
            asked = r.choice(["summarize this:", "translate this:", "what is this about?", "correct the mistakes:", "", "", "tl;dr", "rewrite it:"])
            return self.words.recase(f"{asked} {' '.join(sentences)}".strip())
        if how == 6:
            return r.choice(["https://", "www.", ""]) + f"{w()}.{r.choice(['com', 'org', 'net', 'de', 'io'])}/{w()}"
        if how == 7:
            return f"{r.choice(['WARN', 'ERROR', 'INFO', 'DEBUG', 'Traceback'])} {r.randrange(24):02}:{r.randrange(60):02}:{r.randrange(60):02} {w()}.{w()}: {w()} {w()} {r.randrange(9999)}"
        return " ".join(str(r.randrange(10 ** r.randrange(1, 7))) for _ in range(r.randrange(1, 12)))

    def other_sentence(self):
        """A sentence of a text that has nothing to do with Hearth."""
        r = self.random
        pattern = r.choice(SENTENCES)
        text = grammar.draw(pattern, {**self.other_slots, "w": grammar.Node([[self.word()] for _ in range(5)])}, r)
        return text[0].upper() + text[1:] + "."

    # -- conversations ----------------------------------------------------------------------------

    def fact_turns(self):
        name = self.random.choice(self.names)
        return name, [("user", self.fact_question(name), False),
                      ("assistant", self.random.choice(self.facts[name].answers), True)]

    def other_turns(self):
        return [("user", self.other_question(), False), ("assistant", UNSURE, True)]

    def other_history(self):
        """A turn that somebody else answered: the adviser, a larger model, or Hearth itself."""
        r = self.random
        if self.words.chance(0.35):
            answer = r.choice(NO_ADVISER)
        else:
            answer = " ".join(self.other_sentence() for _ in range(r.choice([1, 1, 1, 2, 2, 3, 6])))
        return [("user", self.other_question(), False), ("assistant", answer, False)]

    def conversation(self):
        r = self.random
        how = r.random()
        if how < 0.58:
            return self.fact_turns()[1]
        if how < 0.88:
            return self.other_turns()
        # Two or three turns.
        if self.words.chance(0.6):
            last, turns = self.fact_turns()
        else:
            last, turns = "other", self.other_history()
        for _ in range(r.choice([1, 1, 2])):
            kind = r.random()
            if kind < 0.5 and self.after[last]:
                intent, node = r.choice(self.after[last])
                text = self.words.roughen(grammar.draw(node, self.slots, r), "S" if self.words.chance(0.4) else "Q", None)
                turns += [("user", text, False), ("assistant", r.choice(intent.answers), True)]
                last = intent.name
            elif kind < 0.75:
                last, more = self.fact_turns()
                turns += more
            else:
                turns += self.other_turns() if self.words.chance(0.8) else self.other_history()
                last = "other"
                if turns[-1][1] == UNSURE:
                    break
        return turns

    def conversations(self, n):
        return [self.conversation() for _ in range(n)]


SENTENCES = frames("""
{person} (lived in|was born in|visited|loved|never saw|wrote about) {city} in {year}
the capital is {city}
(the|a) {animal} is (a|an) {adj} animal that (lives|sleeps|hunts) in {country}
{country} is (known|famous) for {food} and {sport}
{science} is (caused by|related to|measured with|explained by) {science}
in {year} (people|scientists|{job}s) (discovered|built|began to use) {thing}
you can (make|buy|eat) {food} with {food} and a little {w}
the answer is {num}
it (takes|costs|weighs|needs) about {num} {unit}
{num} times {num} makes {num}
first (take|open|find) {thing}, then (add|use|turn) {thing}
{title} (is about|tells of|was filmed in) {person} and {animal}s in {city}
(it|this|that) depends on the {w} of {science}
{sw} is (a program|software|a tool) that many {job}s use
i (think|believe|suggest) that {family} (likes|needs|wants) {thing}
the {w} {w} of {country} is {adj} and {adj}
in {langname} one says {w} {w}
most {animal}s are {adj}
for {disease} it helps to (rest|drink water|see a doctor|eat {food})
{sport} is played by {num} players
the weather in {city} is {adj} and {adj}
yes, {person} was {adj}
no, {thing} is not {adj}
here is a poem about {animal}s and {thing}
function {w}({w}) returns {num}
the {job} went to {city} with (a|an) {animal} and {thing}
we had {food} for dinner and talked about {science}
""")
NO_ADVISER = [  # What Hearth itself says where ember is unsure and nobody was asked, and shorter forms of it.
    "That is outside of what the small embedded model knows: it answers questions about Hearth itself. There are two ways to go on. "
    "(1) Set up an adviser, a larger model that is asked when the local one is unsure: put base_url, model, key_env (the environment "
    "variable that holds your API key) and its two prices under [advisor] in hearth.toml; `hearth config --explain` lists every key. "
    "Nothing leaves this machine until you do. (2) Use a larger local model: put a GGUF file into a folder that [models] folders names, "
    "or pull one with Ollama or LM Studio, where Hearth finds it. A model of 0.5 to 1 billion parameters in 4 bits needs about 1 GB of "
    "memory, one of 8 billion about 6 GB.",
    "That is outside of what the small embedded model knows, and for this request nothing may leave this machine. Ask again with the "
    "model \"auto\" and advice allowed, or choose a larger local model (`hearth models list`).",
    "I am not sure about that. No adviser is set up, so nobody was asked.",
    "I don't know that, and no adviser is set up. A larger model or an adviser could answer it.",
    "ember is unsure here. No adviser is configured: set one up under [advisor] in hearth.toml, or use a larger model.",
    "This is outside of what I know. Set up an adviser or add a larger model to have such questions answered.",
    "I can't answer that: no adviser is set up, and a larger model is needed.",
]

if __name__ == "__main__":
    import sys
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    for turns in Generator(seed=int(sys.argv[2]) if len(sys.argv) > 2 else 1).conversations(n):
        print(" || ".join(f"{role[0]}: {text}" for role, text, _ in turns))
