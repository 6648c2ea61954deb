"""The session under way, as the agent sees it, and the template that it is forked from."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn

from compiler.errors import EdgetuneError
from compiler.runtime.agent import channel, processes, template
from compiler.runtime.agent.door import Client
from compiler.runtime.agent.log import Log
from compiler.runtime.agent.output import Output
from compiler.runtime.agent.reactor import GONE, READABLE, Reactor, Timer
from compiler.runtime.agent.session import DONE, FAILED

START_SECONDS = 120.0
"""For the template to load TVM: seconds on a desk, half a minute on an emulated or very slow board."""
_GRACE_SECONDS = 0.2  # for a session to end by itself when its client has gone
_KILL_SECONDS = 3.0  # for the template to say that it has ended a session
_STOP_SECONDS = 0.7
_AGAIN_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)  # between starts of a template that does not become ready


class _Session:
    def __init__(self, number: int, client: Client, limit: float, output: Output) -> None:
        self.number = number
        self.sock, self.name = client
        self.limit = limit
        self.output = output
        self.began = time.monotonic()
        self.timers: list[Timer] = []
        self.folder: str | None = None
        self.killed = False
        self.late = False
        self.vanished = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


class Sessions:
    """Runs one session at a time. `changed` is called whenever one may be started, and when one was.

    `returned` gets back a client, and its limit, whose session could not begin because the template had died: another
    is on its way. `gpu` is what the board's GPU is, as identities tell it.
    """

    def __init__(
        self,
        reactor: Reactor,
        log: Log,
        key: str,
        memory_limit: int | None,
        changed: Callable[[], None],
        returned: Callable[[Client, float], None],
    ) -> None:
        self.gpu: dict[str, Any] | None = None
        self.count = 0
        self.failed = 0
        self.last_failure: str | None = None
        self._reactor = reactor
        self._log = log
        self._key = key
        self._memory_limit = memory_limit
        self._changed = changed
        self._returned = returned
        self._current: _Session | None = None
        self._control: socket.socket | None = None
        self._pid = 0
        self._ready = False
        self._error: str | None = None
        self._starts = 0
        self._patience: Timer | None = None

    @property
    def free(self) -> bool:
        """Whether a session can begin now."""
        return self._ready and self._current is None

    @property
    def ready(self) -> bool:
        """Whether TVM is loaded. Raises EdgetuneError where it could not be."""
        if self._error is not None and not self._ready:
            raise EdgetuneError(f"TVM's runtime does not load: {self._error}")
        return self._ready

    @property
    def current(self) -> tuple[str, float] | None:
        """The client of the session under way, and for how many seconds it has been."""
        return (self._current.name, self._current.seconds) if self._current is not None else None

    def begin(self, client: Client, limit: float) -> None:
        """Give the board to `client`, whose session ends after `limit` seconds at the latest. Only while `free`."""
        self.count += 1
        output = Output(self._reactor)
        one = _Session(self.count, client, limit, output)
        try:
            if self._control is None:
                raise BrokenPipeError
            channel.send(
                self._control,
                "start",
                [one.sock.fileno(), output.writer],
                number=one.number,
                key=self._key,
                gpu=self.gpu,
            )
        except OSError:  # it has died; that it did, is told by its end of the channel, and by the client's
            self.count -= 1
            output.close()
            self._returned(client, limit)
            return
        finally:
            os.close(output.writer)
        self._current = one
        one.timers.append(self._reactor.after(limit, lambda: self._too_late(one)))
        self._reactor.watch(one.sock, GONE, lambda _events: self._vanished(one))
        self._changed()

    def start_template(self) -> None:
        """Fork the template; it becomes ready by and by."""
        ours, theirs = channel.pair()
        agent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_template(theirs, agent)
        theirs.close()
        ours.setblocking(False)
        self._control, self._pid, self._ready = ours, pid, False
        self._reactor.watch(ours, READABLE, self._told)
        self._patience = self._reactor.after(START_SECONDS, self._give_up)

    def close(self) -> None:
        """End the session and the template, and see to it that both have ended."""
        self._ready = False
        if self._control is None:
            return
        self._reactor.forget(self._control)
        self._control.close()  # upon which the template ends the session and cleans up
        self._control = None
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline:
            if os.waitpid(self._pid, os.WNOHANG)[0]:
                break
            time.sleep(0.005)
        processes.kill_children()
        if self._current is not None and self._current.folder is not None:
            shutil.rmtree(self._current.folder, ignore_errors=True)

    def _become_template(self, control: socket.socket, agent: int) -> NoReturn:
        try:
            template.run(control, agent, self._memory_limit)
        finally:
            os._exit(1)

    def _told(self, _events: int) -> None:
        if self._control is None:
            return
        try:
            message = channel.receive(self._control)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            message = None
        if message is None:
            self._template_ended()
        elif message.what == "ready":
            self._became_ready(message.values["missing"])
        elif message.what == "failed":
            self._error = message.values["error"]
            self._log(f"TVM's runtime does not load: {self._error}")
        elif message.what == "started" and self._current is not None:
            self._current.folder = message.values["folder"]
        elif message.what == "ended" and self._current is not None:
            self._ended(self._current, message.values["status"], message.values["error"])

    def _became_ready(self, missing: list[str]) -> None:
        if self._patience is not None:
            self._patience.cancel()
        if "libtvm_runtime_extra.so" in missing:
            self._log("libtvm_runtime_extra.so does not load: packages cannot run on this board")
        self._ready, self._error, self._starts = True, None, 0
        self._changed()

    def _give_up(self) -> None:
        self._log(f"TVM's runtime was not loaded within {START_SECONDS:g} s")
        self._error = self._error or f"it was not there within {START_SECONDS:g} s"
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    def _template_ended(self) -> None:
        if self._control is None:
            return
        self._reactor.forget(self._control)
        self._control.close()
        self._control, was_ready, self._ready = None, self._ready, False
        if self._patience is not None:
            self._patience.cancel()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        self._log(f"the process that sessions are forked from has ended ({processes.status_line(status)}): starting it")
        processes.kill_children()  # what the session has started: its parents are gone
        one = self._current
        if one is not None and one.folder is not None:
            shutil.rmtree(one.folder, ignore_errors=True)
            self._ended(one, None, "the process that it was forked from has ended")
        elif one is not None:
            self._give_back(one)
        if not was_ready and self._error is None:
            self._error = processes.status_line(status)
        pause = _AGAIN_SECONDS[min(self._starts, len(_AGAIN_SECONDS) - 1)]
        self._starts += 1
        self._reactor.after(pause, self.start_template)

    def _vanished(self, one: _Session) -> None:
        """The client has closed its connection: the session sees it too, unless it is busy with something else."""
        self._reactor.forget(one.sock)
        one.vanished = True
        one.timers.append(self._reactor.after(_GRACE_SECONDS, lambda: self._kill(one)))

    def _too_late(self, one: _Session) -> None:
        one.late = not one.killed
        self._kill(one)

    def _kill(self, one: _Session) -> None:
        if one is not self._current or self._control is None:
            return
        one.killed = True
        with contextlib.suppress(OSError):
            channel.send(self._control, "kill", number=one.number)
        # A template that does not answer is stuck: with it, its sessions end.
        one.timers.append(self._reactor.after(_KILL_SECONDS, self._kill_template))

    def _give_back(self, one: _Session) -> None:
        """The session has not begun: its client waits on, unless it was too late for it anyway."""
        self._forget(one)
        self.count -= 1
        if one.killed:
            one.sock.close()
        else:
            self._returned((one.sock, one.name), one.limit)

    def _forget(self, one: _Session) -> None:
        for timer in one.timers:
            timer.cancel()
        self._reactor.forget(one.sock)
        one.output.close()
        self._current = None

    def _kill_template(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    def _ended(self, one: _Session, status: int | None, error: str | None) -> None:
        with contextlib.suppress(OSError):  # whoever else may have it open
            one.sock.shutdown(socket.SHUT_RDWR)
        failure = self._failure(one, status, error)
        if failure is not None:
            self.failed += 1
            self.last_failure, how = failure
            self._log(f"session {one.number} of {one.name} ended badly after {one.seconds:.1f} s: {how}")
            for line in one.output.last_lines():
                self._log(f"session {one.number} said: {line}")
        else:
            gone = ": its client has gone" if one.killed else ""
            self._log(f"session {one.number} of {one.name} ended after {one.seconds:.1f} s{gone}")
        self._forget(one)
        one.sock.close()
        self._changed()

    def _failure(self, one: _Session, status: int | None, error: str | None) -> tuple[str, str] | None:
        """How a session went wrong, in a word and in a sentence; None where it did not, be it that its client has
        gone."""
        if status is None:
            return "agent", error or "unknown"
        if one.late:
            return "time limit", f"SIGKILL at its time limit of {one.limit:g} s"
        if one.killed:
            return None
        how = processes.status_line(status)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == DONE:
            return None
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == FAILED:
            return None if one.vanished else (how, "the client does not speak TVM's protocol, or memory ran out")
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return how, "SIGKILL: by the kernel, where memory ran out, or by somebody on the board"
        return how, how
