#!/usr/bin/env python3
"""`hearth chat` at a terminal: lines are edited, remembered and completed, Ctrl-C costs no more than a line or an
answer, and the conversation is kept where a person says.  In a pipe, each line is a message."""

import os
import pty
import re
import select
import signal
import threading
import unittest

from adviser_server import AdviserServer, chunk, sse
from hub_process import HEARTH, Home

UP, ALT_ENTER, CTRL_A, CTRL_C, CTRL_D, CTRL_E, CTRL_U, TAB, ENTER = "\033[A", "\033\r", "\001", "\003", "\004", "\005", "\025", "\t", "\r"
QUESTION = "What is a receipt?"
RECEIPT = r"ember · \d+ tokens"
PATIENCE_S = 30


class Terminal:
    """A chat in a terminal of its own; `with` expects it to end well."""

    def __init__(self, home, *args, output=None, **extra):
        """`output`: a file that the program's standard output goes to instead."""
        self.child, self.descriptor = pty.fork()
        if self.child == 0:
            if output:
                os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT, 0o600), 1)
            os.execve(HEARTH, [HEARTH, "chat", "--hub", "local", "--model", "ember", *args],
                      home.environment(TERM="xterm", LANG="C.UTF-8", **extra))
        self.unread = ""
        self.status = None
        self.n_obeyed = 0

    def read(self):
        """More of what is shown; False at its end."""
        if not select.select([self.descriptor], [], [], PATIENCE_S)[0]:
            raise TimeoutError(f"nothing came after {self.unread!r}")
        try:
            piece = os.read(self.descriptor, 65536)
        except OSError:  # The program closed it.
            piece = b""
        self.unread += piece.decode(errors="replace")
        return piece != b""

    def expect(self, pattern):
        """Waits until `pattern` is shown, and goes on behind it."""
        while not (found := re.search(pattern, self.unread)):
            if not self.read():
                raise AssertionError(f"ended without {pattern!r}: {self.unread!r}")
        before, self.unread = self.unread[:found.end()], self.unread[found.end():]
        return before

    def type(self, keys):
        os.write(self.descriptor, keys.encode())

    def prompt(self):
        return self.expect(r"> ")

    def ask(self, line):
        self.prompt()
        self.type(line + ENTER)

    def interrupt(self):
        """Ctrl-C, and what is shown until a line is obeyed again.  The system drops what is typed and what was not read
        yet at a Ctrl-C, so nothing is typed before the next prompt, and the line is typed until it shows."""
        self.type(CTRL_C)
        before = self.prompt()
        for _ in range(PATIENCE_S * 2):
            self.n_obeyed += 1
            self.type(f"/nothing{self.n_obeyed}" + ENTER)
            while select.select([self.descriptor], [], [], 0.5)[0]:
                if not self.read():
                    raise AssertionError(f"it ended: {self.unread!r}")
                if found := re.search(f"there is no /nothing{self.n_obeyed};", self.unread):
                    before, self.unread = before + self.unread[:found.end()], self.unread[found.end():]
                    return before
        raise TimeoutError(f"no line was obeyed: {self.unread!r}")

    def leave(self):
        """By Ctrl-D; libedit shows its prompt before it reads keys one by one, and one that comes between is text."""
        self.prompt()
        for _ in range(PATIENCE_S * 5):
            self.type(CTRL_U + CTRL_D)
            if select.select([self.descriptor], [], [], 0.2)[0] and not self.read():
                return
        raise TimeoutError(f"Ctrl-D did not end it: {self.unread!r}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            os.kill(self.child, signal.SIGKILL)
        else:
            while self.read():
                pass
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])
        os.close(self.descriptor)


class ChatTest(unittest.TestCase):
    def setUp(self):
        self.home = Home()
        self.addCleanup(self.home.close)
        self.history = self.home.path / ".local/state/hearth/chat_history"

    def said(self, name="talk.md"):
        """The questions that a saved conversation has."""
        return re.findall(r"## You\n\n(.*?)\n\n## ", (self.home.path / name).read_text(), re.DOTALL)

    def save(self, terminal, name="talk.md"):
        terminal.ask(f"/save {self.home.path / name}")
        terminal.expect("saved in")

    def test_lines_are_edited_remembered_and_completed(self):
        with Terminal(self.home) as terminal:
            terminal.expect("/help lists commands")
            terminal.prompt()
            terminal.type("is a receipt?" + CTRL_A + "What " + CTRL_E + ENTER)
            terminal.expect(RECEIPT)
            terminal.ask(" a secret")  # A space before it: not remembered.
            terminal.expect(RECEIPT)
            terminal.prompt()
            terminal.type(UP)
            terminal.expect(re.escape(QUESTION))
            terminal.type(ENTER)
            terminal.expect(RECEIPT)
            terminal.prompt()
            terminal.type("/wh" + TAB + ENTER)
            terminal.expect(RECEIPT)
            terminal.prompt()
            terminal.type("/advise " + TAB)
            terminal.expect("/advise never\r\n/advise auto\r\n/advise always")
            terminal.type("n" + TAB + ENTER)
            terminal.expect("advice: never")
            self.save(terminal)
            terminal.leave()
        self.assertEqual(terminal.status, 0)
        self.assertEqual(self.said(), [QUESTION, " a secret", QUESTION])
        self.assertEqual(self.history.stat().st_mode & 0o777, 0o600)
        self.assertNotIn("secret", self.history.read_text())

        with Terminal(self.home) as terminal:  # Another session knows what was typed in the first.
            terminal.prompt()
            terminal.type(UP + UP)
            terminal.expect("/advise never")
            terminal.type(CTRL_U + "/quit" + ENTER)
        self.assertEqual(terminal.status, 0)

    def test_a_message_may_have_several_lines(self):
        with Terminal(self.home) as terminal:
            terminal.prompt()
            terminal.type("What" + ALT_ENTER + "is ä receipt?" + ENTER)
            terminal.expect(RECEIPT)
            terminal.ask("What is\\")
            terminal.expect("… ")
            terminal.type("a receipt?" + ENTER)
            terminal.expect(RECEIPT)
            terminal.prompt()
            terminal.type("\033[200~def f():\r\treturn 1\033[31m\n\033[201~" + ENTER)  # A paste; what would colour is not text.
            terminal.expect(RECEIPT)
            self.save(terminal)
            terminal.ask("/quit")
        self.assertEqual(self.said(), ["What\nis ä receipt?", "What is\na receipt?", "def f():\n\treturn 1[31m\n"])

    def test_control_c_costs_a_line_or_an_answer(self):
        left = threading.Event()

        def tell_for_ever(handler, _):
            handler.stream(sse(chunk("Once upon a time ")))
            try:
                while not left.wait(0.02):
                    handler.wfile.write(sse(chunk("and then ")))
                    handler.wfile.flush()
            except OSError:
                left.set()

        with AdviserServer(tell_for_ever) as server:
            self.home.write_config(f'[[upstreams]]\nname = "endless"\nurl = "{server.url}"\n')
            with Terminal(self.home) as terminal:
                terminal.prompt()
                terminal.type("never mind")
                terminal.expect("never mind")
                terminal.interrupt()  # What was typed is gone; else the next line would be a part of a message.
                terminal.prompt()
                terminal.interrupt()  # Nothing was typed: nothing is gone.
                terminal.ask("What is\\")
                terminal.expect("… ")
                terminal.interrupt()  # A line that goes on is gone as a whole.

                terminal.ask("/model endless/scripted")
                terminal.expect("model: endless/scripted")
                terminal.ask("Tell a story.")
                terminal.expect("and then and then")
                self.assertFalse(left.is_set())
                self.assertIn("(stopped)", terminal.interrupt())
                self.assertTrue(left.wait(PATIENCE_S), "the answer goes on")

                terminal.ask("/model ember")
                terminal.ask(QUESTION)
                terminal.expect(RECEIPT)
                self.save(terminal)
                terminal.ask(f"/save {self.home.path / 'talk.md'}")
                terminal.expect("there already")
                terminal.ask("/quit")
        self.assertEqual(terminal.status, 0)
        self.assertEqual(self.said(), [QUESTION])  # What was stopped is not a part of the conversation.

    def test_what_a_model_writes_commands_no_terminal(self):
        evil = "\033]0;gotcha\007\033[2J\x9b31mred\u202egnp.exe\r\ndone\ttoo"
        with AdviserServer(lambda handler, _: handler.stream(sse(chunk(evil)) + sse(chunk(finish="stop")) + sse(b"[DONE]"))) as server:
            self.home.write_config(f'[[upstreams]]\nname = "evil"\nurl = "{server.url}"\n')
            with Terminal(self.home) as terminal:
                terminal.ask("/model evil/scripted")
                terminal.ask("hi")
                terminal.expect(re.escape("\\x1b]0;gotcha\\x07\\x1b[2J\\x9b31mred\\x202egnp.exe") + "\r+\ndone\ttoo")
                terminal.ask("/quit")
            self.assertEqual(self.home.run("ask", "--hub", "local", "--model", "evil/scripted", "hi").stdout, evil.replace("\r\n", "\n") + "\n")

    def test_answers_go_to_a_file_and_prompts_to_the_terminal(self):
        answers = self.home.path / "answers"
        with Terminal(self.home, output=answers) as terminal:
            terminal.ask(QUESTION)
            terminal.expect(RECEIPT)
            terminal.ask("/advise sometimes")
            terminal.expect("/advise sometimes: there are never, auto, always")
            terminal.ask("/save ~/talk.md")
            terminal.expect("saved in")
            terminal.leave()
        self.assertEqual(self.said(), [QUESTION])
        text = answers.read_text()
        self.assertIn(text.strip(), (self.home.path / "talk.md").read_text())
        self.assertNotRegex(text, "\033|> ")

    def test_a_paste_is_taken_or_not_as_a_whole(self):
        with Terminal(self.home) as terminal:
            terminal.prompt()
            terminal.type("\033[200~")
            for _ in range(1025):
                terminal.type("/quit\r" + "x" * 1018)
            terminal.type("\033[201~")
            terminal.expect("more than 1048576 characters")
            terminal.type("/help" + ENTER)
            terminal.expect("leave, as Ctrl-D does")
            terminal.ask("/quit")
        self.assertEqual(terminal.status, 0)

    def test_colours_only_for_those_who_want_them(self):
        with Terminal(self.home, NO_COLOR="") as terminal:
            self.assertIn("\033[1;36m> ", terminal.prompt())
            terminal.type("/quit" + ENTER)
        with Terminal(self.home) as terminal:
            self.assertNotIn("\033[1;36m", terminal.prompt())
            terminal.type("/quit" + ENTER)

    def test_in_a_pipe_each_line_is_a_message(self):
        done = self.home.run("chat", "--hub", "local", "--model", "ember",
                             stdin=f"/save x.md\n{QUESTION}\n/save {self.home.path}/talk.md\n/save {self.home.path}/no/talk.md\n/image x.png\n/why  \n/nonsense\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.said(), [QUESTION])
        for sentence in ("nothing was answered yet", "can't be written: No such file", "looks at pictures", "there is no /nonsense"):
            self.assertIn(sentence, done.stderr)
        self.assertNotIn("\033", done.stdout + done.stderr)
        self.assertFalse(self.history.exists())


if __name__ == "__main__":
    unittest.main()
