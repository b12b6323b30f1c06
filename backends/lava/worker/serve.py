"""Requests in, Lava runs, answers out."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import resource
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import family
from .frames import pack, unpack

PIECE_SECONDS = 0.5


class Server:
    """One caller's worker.

    Args:
        folder: shared with the caller.
        requests: descriptor that frames come from.
        answers: descriptor that frames go to.
    """

    def __init__(self, folder: Path, requests: int, answers: int) -> None:
        self.folder = folder
        self.requests = requests
        self.answers = answers
        self.inbox: queue.Queue[dict[str, Any]] = queue.Queue()
        self.lock = threading.Lock()
        #: Live networks by their folder.
        self.streams: dict[str, Any] = {}
        #: Lava's OS processes by pid. Replaced as a whole, never changed: another thread reads it.
        self.running: dict[int, Any] = {}
        self.handlers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "run": self._run, "start": self._start, "step": self._step, "end": self._end,
        }  # fmt: skip

    def send(self, message: dict[str, Any]) -> None:
        """Answer the caller."""
        data = memoryview(pack(message))
        with self.lock:
            while data:
                data = data[os.write(self.answers, data) :]

    def serve(self) -> None:
        """Answer requests until "quit"."""
        threading.Thread(target=self._listen, daemon=True, name="listen").start()
        import lava
        import numpy

        self.send({"ready": {"lava": getattr(lava, "__version__", ""), "numpy": numpy.__version__}})
        family.watch(self.folder, lambda: self.running, self._fatal)
        while True:
            request = self.inbox.get()
            if request["op"] == "quit":
                self._end({})
                family.remove(self.folder)  # the caller does too, unless it is killed meanwhile
                return
            try:
                answer = self.handlers[request["op"]](request)
            except Exception:
                words = [family.last_words(pid, p) for pid, p in self.running.items() if family.dead(pid)]
                self.send({"error": "\n".join([*words, traceback.format_exc()])})
            else:
                self.send({"done": answer})

    def _listen(self) -> None:
        buffer = bytearray()
        while True:
            data = os.read(self.requests, 1 << 16)
            if not data:
                family.end_group(self.folder)
            buffer += data
            while (message := unpack(buffer)) is not None:
                self.inbox.put(message)

    def _fatal(self, words: str) -> None:
        self.send({"error": words})
        family.end_group(None)

    # --- requests

    def _launch(self, request: dict[str, Any]) -> Any:
        from .build import Job
        from .lava_network import Bundle

        self.send({"progress": [0, 0]})
        return Job(Bundle(Path(request["bundle"])), request).host()

    def _advance(self, host: Any, steps: int) -> None:
        from lava.magma.core.run_conditions import RunSteps
        from lava.magma.core.run_configs import Loihi2SimCfg

        if not host.runtime:
            # At most two messages wait in a channel; Lava's default of 64 costs memory and nothing else.
            config = Loihi2SimCfg(select_tag=host.tag)
            host.create_runtime(run_cfg=config, compile_config={"pypy_channel_size": 8})
            self.running = {**self.running, **_actors(host)}
        host.run(condition=RunSteps(num_steps=steps))

    def _stop(self, host: Any) -> None:
        if host.runtime:
            stopped = _actors(host)
            self.running = {pid: process for pid, process in self.running.items() if pid not in stopped}
            host.stop()

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        host = self._launch(request)
        total, done, piece = int(request["steps"]), 0, 8
        # After an error nothing is stopped: Lava's stop may wait for ever, and the caller ends the whole group.
        while done < total:
            piece = min(piece, total - done)
            start = time.perf_counter()
            self._advance(host, piece)
            seconds = time.perf_counter() - start
            done += piece
            self.send({"progress": [done, total]})
            piece = max(1, min(4 * piece, int(piece * PIECE_SECONDS / max(seconds, 1e-6))))
        self._stop(host)
        return {}

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        self.streams[request["folder"]] = self._launch(request)
        return {}

    def _step(self, request: dict[str, Any]) -> dict[str, Any]:
        self._advance(self.streams[request["folder"]], 1)
        return {}

    def _end(self, request: dict[str, Any]) -> dict[str, Any]:
        for folder in [request["folder"]] if "folder" in request else list(self.streams):
            self._stop(self.streams.pop(folder))
        return {}


def _actors(host: Any) -> dict[int, Any]:
    return {process.pid: process for process in host.runtime._messaging_infrastructure.actors}


def serve(folder: Path) -> None:
    """Take over stdin and stdout for frames, and serve."""
    requests, answers = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # Lava prints
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    sys.stdout = sys.stderr
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    warnings.simplefilter("ignore")
    # Every channel of Lava's keeps a descriptor open.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    family.follow_into_death([requests, answers])
    with contextlib.suppress(BrokenPipeError):
        Server(folder, requests, answers).serve()
