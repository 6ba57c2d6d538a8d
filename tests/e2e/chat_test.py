#!/usr/bin/env python3
"""`hearth chat` at a terminal: lines are edited, remembered and completed, and the conversation is kept where a
person says.  In a pipe, each line is a message."""

import os
import pty
import re
import select
import signal
import unittest

from hub_process import HEARTH, Home

UP, ALT_ENTER, CTRL_A, CTRL_D, CTRL_E, CTRL_U, TAB, ENTER = "\033[A", "\033\r", "\001", "\004", "\005", "\025", "\t", "\r"
QUESTION = "What is a receipt?"
RECEIPT = r"ember · \d+ tokens"
PATIENCE_S = 30


class Terminal:
    """A chat in a terminal of its own; `with` expects it to end well."""

    def __init__(self, home, *args, **extra):
        self.child, self.descriptor = pty.fork()
        if self.child == 0:
            os.execve(HEARTH, [HEARTH, "chat", "--hub", "local", "--model", "ember", *args],
                      home.environment(TERM="xterm", LANG="C.UTF-8", **extra))
        self.unread = ""
        self.status = None

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
