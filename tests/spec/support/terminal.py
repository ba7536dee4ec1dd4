"""Runs a program on a terminal of its own and types: python3 terminal.py PROGRAM ARGUMENT...

Steps come on standard input, one JSON list a line:
  ["wait", TEXT]          reads until TEXT has been written since the last wait, with escape sequences taken out
  ["type", TEXT]          writes TEXT to the terminal
  ["answer", ASKED, TEXT] from here on, whenever the program writes ASKED, the terminal says TEXT
  ["size", ROWS, COLUMNS]
  ["spin", N]             goes on after so many rounds of work of its own, which depend on no clock
All that the program wrote goes to standard output when it ends or the steps do. Nothing waits for a time: a wait ends
with its text, or with the program, which is an error (status 3). So are four minutes, whatever they were spent with: a
program that says nothing, or never stops saying something, reads nothing of what is typed, or does not end.
"""
import fcntl
import json
import os
import pty
import re
import signal
import struct
import sys
import termios

ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[_P\]].*?\x1b\\|\x1b[=>]|[\x07\x0e\x0f]", re.S)


class Terminal:
    def __init__(self, command):
        self.written, self.seen, self.answers, self.answered = b"", 0, [], 0
        pid, self.fd = pty.fork()
        if pid == 0:
            os.execvp(command[0], command)
        self.pid, self.step = pid, None
        signal.signal(signal.SIGALRM, self.give_up)
        signal.alarm(240)

    def give_up(self, *_):
        self.end("four minutes were over in step %s" % json.dumps(self.step), 3)

    def read(self):
        """Whether there was more."""
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the program has ended
            data = b""
        self.written += data
        for asked, answer in self.answers:
            at = self.written.find(asked, self.answered)
            if at >= 0:
                self.answered = at + len(asked)
                os.write(self.fd, answer)
        return data != b""

    def wait(self, text):
        while True:
            if text in ESCAPES.sub(b"", self.written[self.seen:]):
                low, high = self.seen, len(self.written)  # the next wait begins behind the text
                while low < high:
                    middle = (low + high) // 2
                    if text in ESCAPES.sub(b"", self.written[self.seen:middle]):
                        high = middle
                    else:
                        low = middle + 1
                self.seen = high
                return
            if not self.read():
                self.end("the program ended before it wrote %r" % text, 3)

    def end(self, message, status):
        sys.stdout.buffer.write(self.written)
        sys.stdout.flush()
        if message:
            print(message, file=sys.stderr)
        if message:  # the program still runs
            os.kill(self.pid, 9)
        sys.exit(status)


def main():
    terminal = Terminal(sys.argv[1:])
    for line in sys.stdin:
        terminal.step = kind, *rest = json.loads(line)
        if kind == "wait":
            terminal.wait(rest[0].encode())
        elif kind == "type":
            os.write(terminal.fd, rest[0].encode())
        elif kind == "answer":
            terminal.answers.append((rest[0].encode(), rest[1].encode()))
        elif kind == "spin":
            total = 0
            for i in range(rest[0]):
                total ^= i
        elif kind == "size":
            fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rest[0], rest[1], 0, 0))
    terminal.step = "the end of the program"
    while terminal.read():
        pass
    _, status = os.waitpid(terminal.pid, 0)
    terminal.end(None, 0 if status == 0 else 4)


main()
