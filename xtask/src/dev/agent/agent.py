"""Runs inside a container under `dev`: receives files and keeps the application running. Python 3.9 or later.

Three kinds of process. This one is the container's first: it serves one loopback port, writes files and starts and
stops the others. The *nursery* has loaded the modules that the application imports from elsewhere and has no thread;
each start of the application is a fork of it, which has to load only the application's own modules.

A message is a line of JSON, then as many bytes as its `size` says. What is asked: `hello`, `write`, `link`, `remove`,
`commit`. What is told: `here`, `applied`, `started`, `answering`, `exited`, `refused`.
"""

import ast
import hashlib
import importlib
import importlib.util
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import stat
import sys
import threading
import time

SETTINGS = json.loads(os.environ.pop("XTASK_DEV"))
ROOTS = [os.path.realpath(root) for root in SETTINGS["roots"]]
COMMAND = SETTINGS["command"]
STOP_WITHIN = 1.0  # seconds; then it is killed
LOOK_EVERY = 0.01  # seconds between attempts to reach a port that is about to be opened
STAGED = ".xtask-"


def place(name):
    """The root and the path that a name such as `0/models/task.py` means."""
    index, _, path = name.partition("/")
    parts = path.split("/")
    if not path or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"not a path below a synced folder: {name}")
    root = ROOTS[int(index)]
    return root, os.path.join(root, *parts)


def listing():
    """What is in the synced folders: digests of files, targets of symlinks."""
    found = {}
    for index, root in enumerate(ROOTS):
        for folder, folders, files in os.walk(root):
            for name in files + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
                path = os.path.join(folder, name)
                if name.startswith(STAGED):
                    continue
                key = f"{index}/{os.path.relpath(path, root).replace(os.sep, '/')}"
                if os.path.islink(path):
                    found[key] = "link " + os.readlink(path)
                else:
                    with open(path, "rb") as file:
                        digest = hashlib.sha256(file.read()).hexdigest()
                    found[key] = ("x " if os.stat(path).st_mode & stat.S_IXUSR else "f ") + digest
    return found


def make_parents(root, path):
    """Makes the folders above `path`; what is no folder there gives way."""
    folder = root
    for part in os.path.relpath(os.path.dirname(path), root).split(os.sep):
        folder = os.path.normpath(os.path.join(folder, part))
        if folder != root and (os.path.islink(folder) or not os.path.isdir(folder)):
            if os.path.lexists(folder):
                os.unlink(folder)
            os.mkdir(folder)


def take_away(root, path):
    """Removes what is at `path`, and the folders above it that are empty then."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
    folder = os.path.dirname(path)
    while folder != root and folder.startswith(root + os.sep):
        try:
            os.rmdir(folder)
        except OSError:
            break
        folder = os.path.dirname(folder)


def forget_bytecode(path):
    """Cached bytecode is known by whole seconds and size only, which two edits can share."""
    if path.endswith(".py"):
        try:
            os.unlink(importlib.util.cache_from_source(path))
        except (OSError, NotImplementedError):
            pass


class Batch:
    """Changes that become visible together: each file beside its place first, then renamed over it."""

    def __init__(self):
        self.staged = []
        self.removed = []
        self.count = 0

    def _aside(self, root):
        self.count += 1
        return os.path.join(root, f"{STAGED}{os.getpid()}-{id(self)}-{self.count}")

    def write(self, name, executable, body):
        root, path = place(name)
        aside = self._aside(root)
        with open(aside, "wb") as file:
            file.write(body)
        os.chmod(aside, 0o755 if executable else 0o644)
        self.staged.append((root, aside, path))

    def link(self, name, target):
        root, path = place(name)
        aside = self._aside(root)
        os.symlink(target, aside)
        self.staged.append((root, aside, path))

    def remove(self, name):
        self.removed.append(place(name))

    def commit(self):
        for root, path in self.removed:
            take_away(root, path)
            forget_bytecode(path)
        for root, aside, path in self.staged:
            make_parents(root, path)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            os.replace(aside, path)
            forget_bytecode(path)
        self.__init__()

    def drop(self):
        for _, aside, _ in self.staged:
            if os.path.lexists(aside):
                os.unlink(aside)
        self.__init__()


def is_type_checking(test):
    return getattr(test, "id", getattr(test, "attr", None)) == "TYPE_CHECKING"


def imported(tree):
    """The names that a module imports, not relative to itself, anywhere in it."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and is_type_checking(node.test):
            waiting.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
        waiting.extend(ast.iter_child_nodes(node))


def is_own(name):
    """Whether a module is one of those that are synced, or cannot be found."""
    try:
        spec = importlib.util.find_spec(name.partition(".")[0])
    except (ImportError, ValueError):
        return True
    if spec is None:
        return True
    places = list(spec.submodule_search_locations or []) + [spec.origin or ""]
    return any(os.path.realpath(path).startswith(root) for path in places for root in ROOTS if path)


def from_elsewhere():
    """The modules from outside the synced folders that the sources in them import."""
    names = set()
    for root in ROOTS:
        for folder, _, files in os.walk(root):
            for name in files:
                if name.endswith(".py") and not name.startswith(STAGED):
                    try:
                        with open(os.path.join(folder, name), "rb") as file:
                            names.update(imported(ast.parse(file.read())))
                    except (OSError, SyntaxError, ValueError):
                        continue  # the application's own start says what is wrong with it
    return sorted(name for name in names if not is_own(name))


def run_command():
    """Becomes the application. The modules that the nursery has loaded are there already."""
    program, arguments = COMMAND[0], COMMAND[1:]
    script = shutil.which(program)
    if os.path.basename(program).startswith("python") and arguments[:1] == ["-m"] and len(arguments) > 1:
        sys.path[0] = os.getcwd()
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif os.path.basename(program).startswith("python") and arguments and arguments[0].endswith(".py"):
        sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")
    elif script and is_python_script(script):
        sys.path[0] = os.getcwd()
        sys.argv = [script, *arguments]
        runpy.run_path(script, run_name="__main__")
    else:
        os.execvp(program, COMMAND)


def is_python_script(path):
    with open(path, "rb") as file:
        first = file.readline(256)
    return first.startswith(b"#!") and b"python" in first


def application():
    """The forked process: a group of its own, signals as a new program has them."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 1
    try:
        run_command()
        code = 0
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else (0 if exit.code is None else 1)
        if isinstance(exit.code, str):
            print(exit.code, file=sys.stderr)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        # What a program does as it ends: its threads, its exit handlers, its buffers.
        try:
            threading._shutdown()
            import atexit

            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def nursery(channel):
    """Loads modules and forks the application when it is told to; ends with its parent."""
    sys.path[0] = os.getcwd()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    with channel.makefile("rwb", buffering=0) as stream:
        for line in stream:
            order = json.loads(line)
            importlib.invalidate_caches()
            for name in order.get("load", []):
                try:
                    importlib.import_module(name)
                except BaseException as error:  # the application may catch it, or never get there
                    print(f"xtask dev: {name} is not loaded beforehand: {error}", file=sys.stderr, flush=True)
            if threading.active_count() > 1:
                stream.write(b'{"threads": true}\n')
                continue
            stream.write(json.dumps({"child": fork_away(channel)}).encode() + b"\n")
    os._exit(0)


def fork_away(channel):
    """Forks the application as an orphan, so that the container's first process is told of its end."""
    reader, writer = os.pipe()
    between = os.fork()
    if between == 0:
        child = os.fork()
        if child == 0:
            channel.close()
            os.close(reader)
            os.close(writer)
            application()
        os.write(writer, str(child).encode())
        os._exit(0)
    os.close(writer)
    child = int(os.read(reader, 32))
    os.close(reader)
    os.waitpid(between, 0)
    return child


def adopt_orphans():
    """Where another process is the first of the container, orphans have to be asked for."""
    if os.getpid() != 1:
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


class Application:
    """The application's process, and the nursery that it is forked from."""

    def __init__(self, tell):
        self.tell = tell
        self.child = None
        self.run = 0
        self.nursery = None
        self.channel = None
        self.loaded = set()
        self.beforehand = True
        self.wanted = None  # the commit that asked for a start
        self.kill_at = None
        self.look_at = None

    def hatch(self):
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for inherited in list(SELECTOR.get_map().values()):
                if inherited.fileobj is not theirs:
                    os.close(inherited.fd)
            nursery(theirs)
        theirs.close()
        self.nursery, self.channel, self.loaded = pid, ours.makefile("rwb", buffering=0), set()

    def order(self, **order):
        self.channel.write(json.dumps(order).encode() + b"\n")
        return json.loads(self.channel.readline() or b'{"gone": true}')

    def start(self, commit):
        """Starts the application, after the one that runs has ended."""
        self.wanted = commit
        if self.child is None:
            self._fork()
        elif self.kill_at is None:
            self._signal(signal.SIGINT)  # as from a keyboard: at once, without the courtesies of a rollout
            self.kill_at = time.monotonic() + STOP_WITHIN

    def stop(self):
        self.wanted = None
        if self.child is not None and self.kill_at is None:
            self._signal(signal.SIGTERM)
            self.kill_at = time.monotonic() + STOP_WITHIN * 20

    def _signal(self, number):
        try:
            os.killpg(self.child, number)
        except ProcessLookupError:
            pass

    def _fork(self):
        commit, self.wanted = self.wanted, None
        for _ in range(2):
            if self.nursery is None:
                self.hatch()
            names = [name for name in from_elsewhere() if name not in self.loaded] if self.beforehand else []
            answer = self.order(load=names)
            if "child" in answer:
                self.loaded.update(names)
                self.child = answer["child"]
                self.run += 1
                self.tell({"is": "started", "id": commit, "run": self.run})
                self.look_at = time.monotonic()
                return
            # A module has started a thread as it was loaded: forks would lack it. From now on nothing is loaded first.
            self.beforehand = False
            self.close_nursery()
        self.tell({"is": "exited", "run": self.run, "code": 1})

    def close_nursery(self):
        self.channel.close()
        self.nursery = None

    def ended(self, pid, status):
        """A process has ended: the application, the nursery, or somebody whose parent has gone."""
        if pid == self.nursery:
            self.close_nursery()
        if pid != self.child:
            return
        self._signal(signal.SIGKILL)  # what it has left behind in its group
        self.child = self.kill_at = self.look_at = None
        if self.wanted is not None:
            self._fork()
        else:
            self.tell({"is": "exited", "run": self.run, "code": os.waitstatus_to_exitcode(status)})

    def tick(self, now):
        """What is due; returns when to be called again."""
        if self.kill_at is not None and now >= self.kill_at and self.child is not None:
            self._signal(signal.SIGKILL)
            self.kill_at = now + STOP_WITHIN
        if self.look_at is not None and now >= self.look_at:
            self.look_at = now + LOOK_EVERY
            if all(answers(port) for port in SETTINGS["ports"]):
                self.look_at = None
                self.tell({"is": "answering", "run": self.run})
        return min((at for at in (self.kill_at, self.look_at) if at is not None), default=None)


def answers(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Peer:
    """Somebody who is connected."""

    def __init__(self, stream):
        self.stream = stream
        self.received = bytearray()
        self.head = None
        self.batch = Batch()

    def messages(self):
        while True:
            if self.head is None:
                line, newline, rest = self.received.partition(b"\n")
                if not newline:
                    return
                self.head, self.received = json.loads(line), rest
            size = self.head.get("size", 0)
            if len(self.received) < size:
                return
            body, self.received = bytes(self.received[:size]), self.received[size:]
            head, self.head = self.head, None
            yield head, body

    def tell(self, message):
        data = json.dumps(message).encode() + b"\n"
        try:
            self.stream.setblocking(True)
            self.stream.sendall(data)
            self.stream.setblocking(False)
        except OSError:
            pass  # reading from it says that it has gone


SELECTOR = selectors.DefaultSelector()


class Agent:
    def __init__(self):
        self.peers = {}
        self.application = Application(self.tell_all)
        self.ending = False

    def tell_all(self, message):
        for peer in list(self.peers.values()):
            peer.tell(message)

    def listen(self):
        listener = socket.create_server(("127.0.0.1", SETTINGS["listen"]))
        listener.setblocking(False)
        SELECTOR.register(listener, selectors.EVENT_READ, self.accept)
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        SELECTOR.register(reader, selectors.EVENT_READ, self.signalled)

    def accept(self, listener):
        stream, _ = listener.accept()
        stream.setblocking(False)
        # Short answers must not wait for the other side's acknowledgement of the one before.
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peers[stream] = Peer(stream)
        SELECTOR.register(stream, selectors.EVENT_READ, self.readable)

    def signalled(self, reader):
        numbers = os.read(reader, 4096)
        if any(number in (signal.SIGTERM, signal.SIGINT) for number in numbers):
            self.ending = True
            self.application.stop()
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            self.application.ended(pid, status)

    def readable(self, stream):
        peer = self.peers[stream]
        try:
            data = stream.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            SELECTOR.unregister(stream)
            del self.peers[stream]
            peer.batch.drop()
            stream.close()
            return
        peer.received += data
        for head, body in peer.messages():
            try:
                self.obey(peer, head, body)
            except (OSError, ValueError, IndexError) as error:
                peer.batch.drop()
                peer.tell({"is": "refused", "why": str(error)})

    def obey(self, peer, head, body):
        order = head["do"]
        if order == "hello":
            running = self.application.child is not None
            peer.tell({"is": "here", "files": listing(), "running": running, "run": self.application.run})
        elif order == "write":
            peer.batch.write(head["to"], head["executable"], body)
        elif order == "link":
            peer.batch.link(head["to"], head["target"])
        elif order == "remove":
            peer.batch.remove(head["to"])
        elif order == "commit":
            peer.batch.commit()
            peer.tell({"is": "applied", "id": head["id"]})
            if head["restart"]:
                self.application.start(head["id"])
        else:
            raise ValueError(f"unknown order {order}")

    def serve(self):
        self.listen()
        while not (self.ending and self.application.child is None):
            due = self.application.tick(time.monotonic())
            wait = None if due is None else max(0.0, due - time.monotonic())
            for key, _ in SELECTOR.select(wait):
                key.data(key.fileobj)


if __name__ == "__main__":
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.path.join(os.environ.get("TMPDIR", "/tmp"), "xtask-pycache")
    os.environ["PYTHONUNBUFFERED"] = "1"
    adopt_orphans()
    Agent().serve()
