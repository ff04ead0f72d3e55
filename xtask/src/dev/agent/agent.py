"""Runs inside a container under `dev`: receives files and keeps the application running. Python 3.9 or later.

Three kinds of process. This one is the container's first: it serves one loopback port, writes files and starts and
stops the others, and waits for none of them. The *nursery* has no thread, and each start of the application is a fork of
it. The first one loads for itself what it needs. Once it answers, the nursery loads the modules that the application's
sources import from elsewhere, also those that no start needs, so that the next forks have only the application's own to
load.

A message is a line of JSON, then as many bytes as its `size` says. What is asked: `hello`, `write`, `link`, `remove`,
`commit`. What is told: `here`, `receiving`, `applied`, `started`, `answering`, `exited`, `refused`. Orders up to a
`commit` belong together: one that cannot be obeyed makes the commit refused, and nothing of it is done. Anybody in the
pod may connect to the port by mistake; who sends anything else is cut off.
"""

import ast
import contextlib
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
LOAD_WITHIN = 60.0  # seconds for the modules from elsewhere; then none is loaded before the application starts
TELL_WITHIN = 10.0  # seconds; then whoever does not read what is told is cut off
LOOK_EVERY = 0.01  # seconds between attempts to reach a port that is about to be opened
LONGEST = 1 << 16  # bytes of the line that begins a message
SIGN_EVERY = 1 << 18  # bytes received, after which a sign of life is given
STAGED = ".xtask-"


def place(name):
    """The root and the path that a name such as `0/models/task.py` means."""
    index, _, path = name.partition("/")
    parts = path.split("/")
    if not index.isdigit() or any(part in ("", ".", "..") for part in parts):
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
                try:
                    there = described(path)
                except FileNotFoundError:
                    continue  # the application has removed it a moment ago
                if there is not None:
                    found[f"{index}/{os.path.relpath(path, root).replace(os.sep, '/')}"] = there
    return found


def described(path):
    """What is at `path`; nothing for what is neither a file nor a symlink."""
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return "link " + os.readlink(path)
    if not stat.S_ISREG(mode):
        return None
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    return ("x " if mode & stat.S_IXUSR else "f ") + digest


def sweep():
    """Removes what a batch has left that was under way when the container was ended."""
    for root in ROOTS:
        for name in os.listdir(root):
            if name.startswith(STAGED):
                os.unlink(os.path.join(root, name))


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


class Batch:
    """Changes that become visible together: each file beside its place first, then renamed over it."""

    # No two commits have the same: cached bytecode is known by its source's whole second and size, whichever Python it is.
    stamp = 0

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
        # Noted first: where it cannot be written whole, the beginning of it has to go again.
        self.staged.append((root, aside, path))
        with open(aside, "wb") as file:
            file.write(body)
        os.chmod(aside, 0o755 if executable else 0o644)

    def link(self, name, target):
        root, path = place(name)
        aside = self._aside(root)
        self.staged.append((root, aside, path))
        os.symlink(target, aside)

    def remove(self, name):
        self.removed.append(place(name))

    def commit(self):
        stamp = Batch.stamp = max(int(time.time()), Batch.stamp + 1)
        for root, path in self.removed:
            take_away(root, path)
        for root, aside, path in self.staged:
            make_parents(root, path)
            os.utime(aside, (stamp, stamp), follow_symlinks=False)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            os.replace(aside, path)
        if any(os.path.islink(path) for _, _, path in self.staged):
            # What a link leads to now is another source by the same name.
            shutil.rmtree(sys.pycache_prefix, ignore_errors=True)
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
    return any(is_below(os.path.realpath(path), root) for path in places for root in ROOTS if path)


def is_below(path, root):
    return path == root or path.startswith(root + os.sep)


def from_elsewhere():
    """The modules from outside the synced folders that the sources in them import."""
    importlib.invalidate_caches()
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
    if script is None or not is_this_python(interpreter_of(script)):
        os.execvp(program, COMMAND)
    elif is_python(script) and arguments[:1] == ["-m"] and len(arguments) > 1:
        sys.path[0] = os.getcwd()
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif is_python(script) and arguments and arguments[0].endswith(".py"):
        sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")
    elif not is_python(script):
        sys.path[0] = os.getcwd()
        sys.argv = [script, *arguments]
        runpy.run_path(script, run_name="__main__")
    else:
        os.execvp(program, COMMAND)


def is_python(path):
    return os.path.basename(path).startswith("python")


def interpreter_of(path):
    """What runs the program at `path`: itself, or what the first line of a script names without any words behind it."""
    with open(path, "rb") as file:
        first = file.readline(256)
    if not first.startswith(b"#!"):
        return path
    words = os.fsdecode(first[2:]).split()
    if words and os.path.basename(words[0]) == "env":
        words = words[1:]
        return shutil.which(words[0]) if len(words) == 1 else None
    return words[0] if len(words) == 1 else None


def is_this_python(path):
    """Whether `path` is the interpreter that runs this, with the same libraries: a virtual environment has its own name
    for the interpreter, and its libraries beside that."""
    return path is not None and is_python(path) and there_is(path) == there_is(sys.executable)


def there_is(interpreter):
    """The interpreter, and the virtual environment that its name is in, if it is in one."""
    above = os.path.dirname(os.path.dirname(os.path.abspath(interpreter)))
    environment = os.path.realpath(above) if os.path.exists(os.path.join(above, "pyvenv.cfg")) else None
    return os.path.realpath(interpreter), environment


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
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    fit = True
    with channel.makefile("rwb", buffering=0) as stream:
        for line in stream:
            order = json.loads(line)
            importlib.invalidate_caches()
            for name in order["load"]:
                try:
                    importlib.import_module(name)
                except BaseException as error:  # the application may catch it, or never get there
                    print(f"xtask dev: {name} is not loaded beforehand: {error}", file=sys.stderr, flush=True)
            fit = fit and not has_threads() and not (order["load"] and has_own())
            if not fit:
                stream.write(b'{"unfit": true}\n')
            elif order["fork"]:
                stream.write(json.dumps({"child": fork_away(channel)}).encode() + b"\n")
    os._exit(0)


def has_threads():
    """Whether forks of this process would lack something: also threads that are not Python's count."""
    try:
        return len(os.listdir("/proc/self/task")) > 1
    except OSError:
        return threading.active_count() > 1


def has_own():
    """Whether a module from elsewhere has loaded one that is synced: each fork would have that as it was."""
    for name, module in list(sys.modules.items()):
        # Not by getattr: some modules load others when they are asked for anything.
        about = getattr(module, "__dict__", {})
        try:
            places = [about.get("__file__"), *(about.get("__path__") or [])]
        except Exception:  # it may be anything that has put itself there
            continue
        for path in places:
            if isinstance(path, str) and any(is_below(os.path.realpath(path), root) for root in ROOTS):
                why = f"a module from elsewhere loads {name}, which is synced"
                print(f"xtask dev: modules are not loaded beforehand: {why}", file=sys.stderr, flush=True)
                return True
    return False


def fork_away(channel):
    """Forks the application as an orphan, so that the container's first process is told of its end."""
    reader, writer = os.pipe()
    between = os.fork()
    if between == 0:
        child = os.fork()
        if child == 0:
            os.close(channel.detach())
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
        self.commit = 0  # the one that the last start was asked for by
        self.nursery = None
        self.channel = None
        self.loaded = set()
        self.beforehand = True
        self.has_answered = False
        self.wanted = None  # the commit that asked for a start
        self.ending = False  # for good
        self.ordered = None  # the commit that the nursery forks for, and what it loads before
        self.orphans = {}  # how processes ended while it did: the application may be among them
        self.kill_at = None
        self.look_at = None
        self.give_up_at = None

    def is_over(self):
        return self.ending and self.child is None and self.ordered is None

    def start(self, commit):
        """Starts the application, after the one that runs has ended."""
        if self.ending:
            return
        self.wanted = commit
        if self.ordered is not None:
            return  # it is started once more as soon as it is there
        if self.child is None:
            self._fork()
        else:
            self._interrupt()

    def stop(self):
        """Ends the application, and starts none any more."""
        self.ending, self.wanted = True, None
        if self.nursery is not None:
            self._kill_nursery()
        if self.child is not None and self.kill_at is None:
            self._signal(signal.SIGTERM)
            self.kill_at = time.monotonic() + STOP_WITHIN * 20

    def _interrupt(self):
        if self.kill_at is None:
            self._signal(signal.SIGINT)  # as from a keyboard: at once, without the courtesies of a rollout
            self.kill_at = time.monotonic() + STOP_WITHIN

    def _signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child, number)

    def _hatch(self):
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for inherited in list(SELECTOR.get_map().values()):
                os.close(inherited.fd)
            nursery(theirs)
        theirs.close()
        self.nursery, self.channel, self.loaded = pid, ours, set()
        SELECTOR.register(ours, selectors.EVENT_READ, self.answered)

    def _fork(self):
        """Has the nursery fork the application."""
        commit, self.wanted = self.wanted, None
        if self.nursery is None:
            self._hatch()
        # What a new container is waited for is its first answer, for which the application may need little of it.
        names = self._missing() if self.beforehand and self.has_answered else []
        self.ordered = commit, names
        self.give_up_at = time.monotonic() + LOAD_WITHIN
        self._order(names, fork=True)

    def _load_beforehand(self):
        """The application answers for the first time: the nursery loads for the starts to come."""
        self.has_answered = True
        if self.beforehand and self.nursery is not None and not self.ending:
            names = self._missing()
            self.loaded.update(names)
            self._order(names, fork=False)

    def _missing(self):
        return [name for name in from_elsewhere() if name not in self.loaded]

    def _order(self, names, fork):
        with contextlib.suppress(OSError):  # that it has ended is told next
            self.channel.sendall(json.dumps({"load": names, "fork": fork}).encode() + b"\n")

    def answered(self, channel):
        """The nursery has forked the application, or says why not, or is gone."""
        if channel is not self.channel:
            return
        try:
            line = channel.recv(4096)
        except OSError:
            line = b""
        if not line:
            self._close_nursery()
            self._without()
        elif "child" in (answer := json.loads(line.splitlines()[0])):
            self._born(answer["child"])
        else:
            # A module has started a thread as it was loaded, which forks would lack; or has loaded one that is synced.
            self._kill_nursery()
            self.beforehand = self.beforehand and self.ordered is not None
            self._without()

    def _born(self, child):
        (commit, names), self.ordered, self.give_up_at = self.ordered, None, None
        orphans, self.orphans = self.orphans, {}
        self.loaded.update(names)
        self.child, self.commit = child, commit
        self.run += 1
        self.tell({"is": "started", "id": commit, "run": self.run})
        self.look_at = time.monotonic()
        if child in orphans:
            self.ended(child, orphans[child])
        elif self.wanted is not None:
            self._interrupt()

    def _without(self):
        """The nursery could not fork the application: from now on nothing is loaded beforehand."""
        if self.ordered is None:
            return
        (commit, _), self.ordered, self.give_up_at = self.ordered, None, None
        self.orphans = {}
        if self.wanted is None:
            self.wanted = commit
        if self.beforehand:
            self.beforehand = False
            self._fork()
        else:
            self.wanted = None
            self.tell({"is": "exited", "run": self.run, "code": 1})

    def _kill_nursery(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.nursery, signal.SIGKILL)
        self._close_nursery()
        if self.ending:
            self.ordered = self.give_up_at = None

    def _close_nursery(self):
        if self.channel is not None:
            SELECTOR.unregister(self.channel)
            self.channel.close()
        self.nursery = self.channel = None

    def ended(self, pid, status):
        """A process has ended: the application, the nursery, or somebody whose parent has gone."""
        if pid == self.nursery and self.ordered is None:
            self._close_nursery()
        if self.ordered is not None:
            self.orphans[pid] = status
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
        if self.give_up_at is not None and now >= self.give_up_at:
            print("xtask dev: modules are not loaded beforehand: it takes too long", file=sys.stderr, flush=True)
            self._kill_nursery()
            self._without()
        if self.look_at is not None and now >= self.look_at:
            self.look_at = now + LOOK_EVERY
            if all(answers(port) for port in SETTINGS["ports"]):
                self.look_at = None
                self.tell({"is": "answering", "run": self.run})
                if not self.has_answered:
                    self._load_beforehand()
        due = (self.kill_at, self.look_at, self.give_up_at)
        return min((at for at in due if at is not None), default=None)


def answers(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


ORDERS = {
    "hello": {},
    "write": {"to": str, "executable": bool, "size": int},
    "link": {"to": str, "target": str},
    "remove": {"to": str},
    "commit": {"id": int, "restart": bool},
}


class Stranger(Exception):
    """Whoever has connected does not speak of files."""


class Peer:
    """Somebody who is connected."""

    def __init__(self, stream):
        self.stream = stream
        self.received = bytearray()
        self.unsaid = 0  # bytes received since the last sign of life
        self.head = None
        self.batch = Batch()
        self.refused = None  # why the next commit is
        self.is_cut = False

    def messages(self):
        while True:
            if self.head is None:
                end = self.received.find(b"\n", 0, LONGEST)
                if end < 0 and len(self.received) >= LONGEST:
                    raise Stranger
                if end < 0:
                    return
                self.head = head_of(bytes(self.received[:end]))
                del self.received[: end + 1]
            size = self.head.get("size", 0)
            if len(self.received) < size:
                return
            body = bytes(self.received[:size])
            del self.received[:size]
            head, self.head = self.head, None
            yield head, body

    def tell(self, message):
        data = json.dumps(message).encode() + b"\n"
        try:
            self.stream.settimeout(TELL_WITHIN)
            self.stream.sendall(data)
            self.stream.setblocking(False)
        except OSError:
            self.cut()

    def cut(self):
        """Nothing more is heard or told; reading from it says so."""
        self.is_cut = True
        self.stream.setblocking(False)
        try:
            self.stream.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has gone already


def head_of(line):
    """What a message begins with."""
    try:
        head = json.loads(line)
    except (ValueError, RecursionError):
        raise Stranger from None
    order = head.get("do") if isinstance(head, dict) else None
    wanted = ORDERS.get(order) if isinstance(order, str) else None
    if wanted is None or any(type(head.get(name)) is not kind for name, kind in wanted.items()):
        raise Stranger
    if order == "write" and head["size"] < 0:
        raise Stranger
    return head if order == "write" else {**head, "size": 0}


SELECTOR = selectors.DefaultSelector()


class Agent:
    def __init__(self):
        self.peers = {}
        self.application = Application(self.tell_all)

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
        if not data or peer.is_cut:
            SELECTOR.unregister(stream)
            del self.peers[stream]
            peer.batch.drop()
            stream.close()
            return
        peer.received += data
        peer.unsaid += len(data)
        if peer.unsaid >= SIGN_EVERY:
            peer.unsaid = 0
            peer.tell({"is": "receiving"})
        try:
            for head, body in peer.messages():
                self.obey(peer, head, body)
        except Stranger:
            peer.cut()

    def obey(self, peer, head, body):
        order = head["do"]
        if order == "hello":
            self.describe(peer)
        elif order == "write":
            self.prepare(peer, lambda batch: batch.write(head["to"], head["executable"], body))
        elif order == "link":
            self.prepare(peer, lambda batch: batch.link(head["to"], head["target"]))
        elif order == "remove":
            self.prepare(peer, lambda batch: batch.remove(head["to"]))
        elif order == "commit":
            self.commit(peer, head["id"], head["restart"])

    def describe(self, peer):
        try:
            files = listing()
        except OSError as error:
            peer.tell({"is": "refused", "why": str(error)})
            return
        application = self.application
        peer.tell({
            "is": "here",
            "roots": SETTINGS["roots"],
            "files": files,
            "running": application.child is not None or application.ordered is not None,
            "id": application.commit,
            "answering": application.child is not None and application.look_at is None,
        })

    def prepare(self, peer, order):
        """Does one thing of a batch, unless one before it could not be done."""
        if peer.refused is not None:
            return
        try:
            order(peer.batch)
        except (OSError, ValueError, IndexError) as error:
            # What follows up to the commit is passed over: half of a batch is nothing that anybody has saved.
            peer.refused = str(error)
            peer.batch.drop()

    def commit(self, peer, commit, restart):
        self.prepare(peer, Batch.commit)
        refused, peer.refused = peer.refused, None
        if refused is not None:
            peer.tell({"is": "refused", "why": refused})
            return
        peer.tell({"is": "applied", "id": commit})
        if restart:
            self.application.start(commit)

    def serve(self):
        self.listen()
        while not self.application.is_over():
            due = self.application.tick(time.monotonic())
            wait = None if due is None else max(0.0, due - time.monotonic())
            for key, _ in SELECTOR.select(wait):
                key.data(key.fileobj)


if __name__ == "__main__":
    # The application's modules are found as it finds them, and none beside this file.
    sys.path[0] = os.getcwd()
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.path.join(os.environ.get("TMPDIR", "/tmp"), "xtask-pycache")
    shutil.rmtree(sys.pycache_prefix, ignore_errors=True)  # the stamps of the container before this one are not known
    # For all that the application starts, too: what they would cache beside the sources is not forgotten with them.
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
    os.environ["PYTHONUNBUFFERED"] = "1"
    adopt_orphans()
    sweep()
    Agent().serve()
