// Runs inside a container under `dev`: receives files and keeps the application running. Node 18 or later.
//
// It speaks what agent.py speaks: a message is a line of JSON, then as many bytes as its `size` says. What is asked:
// `hello`, `write`, `link`, `remove`, `commit`. What is told: `here`, `receiving`, `applied`, `started`, `answering`,
// `exited`, `refused`. Orders up to a `commit` belong together: one that cannot be obeyed makes the commit refused, and
// nothing of it is done. Anybody in the pod may connect to the port by mistake; who sends anything else is cut off.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";

const settings = JSON.parse(process.env.XTASK_DEV);
delete process.env.XTASK_DEV;
const roots = settings.roots.map((root) => fs.realpathSync(root));
const STOP_WITHIN = 1000; // milliseconds; then it is killed
const LOOK_EVERY = 10; // milliseconds between attempts to reach a port that is about to be opened
const LONGEST = 1 << 16; // bytes of the line that begins a message
const SIGN_EVERY = 1 << 18; // bytes received, after which a sign of life is given
const STAGED = ".xtask-";

/** The root and the path that a name such as `0/models/task.ts` means. */
function place(name) {
  const [index, ...parts] = name.split("/");
  const root = /^\d+$/.test(index) ? roots[Number(index)] : undefined;
  if (root === undefined || parts.length === 0 || parts.some((part) => ["", ".", ".."].includes(part))) {
    throw new Error(`not a path below a synced folder: ${name}`);
  }
  return { root, at: path.join(root, ...parts) };
}

function look(at) {
  return fs.lstatSync(at, { throwIfNoEntry: false });
}

/** What is in a folder below a root; nothing of one that has gone a moment ago, as those of an application's cache do. */
function entriesOf(folder) {
  try {
    return fs.readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
    throw error;
  }
}

/** What is in the synced folders: digests of files, targets of symlinks. */
function listing() {
  const found = {};
  const visit = (index, folder, prefix, entries) => {
    for (const entry of entries) {
      const at = path.join(folder, entry.name);
      const name = `${prefix}/${entry.name}`;
      if (entry.isDirectory()) {
        visit(index, at, name, entriesOf(at));
      } else if (!entry.name.startsWith(STAGED)) {
        const there = described(at);
        if (there !== undefined) found[name] = there;
      }
    }
  };
  roots.forEach((root, index) => visit(index, root, String(index), fs.readdirSync(root, { withFileTypes: true })));
  return found;
}

/** What is at `at`; nothing for what is neither a file nor a symlink, or has gone a moment ago. */
function described(at) {
  try {
    const there = fs.lstatSync(at);
    if (there.isSymbolicLink()) return `link ${fs.readlinkSync(at)}`;
    if (!there.isFile()) return undefined;
    const digest = createHash("sha256").update(fs.readFileSync(at)).digest("hex");
    return `${there.mode & 0o100 ? "x" : "f"} ${digest}`;
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Removes what a batch has left that was under way when the container was ended. */
function sweep() {
  for (const root of roots) {
    for (const name of fs.readdirSync(root)) {
      if (name.startsWith(STAGED)) fs.rmSync(path.join(root, name), { force: true });
    }
  }
}

/** Makes the folders above `at`; what is no folder there gives way. */
function makeParents(root, at) {
  let folder = root;
  for (const part of path.relative(root, path.dirname(at)).split(path.sep).filter(Boolean)) {
    folder = path.join(folder, part);
    const there = look(folder);
    if (there?.isDirectory()) continue;
    if (there) fs.unlinkSync(folder);
    fs.mkdirSync(folder);
  }
}

/** Removes what is at `at`, and the folders above it that are empty then. */
function takeAway(root, at) {
  fs.rmSync(at, { recursive: true, force: true });
  for (let folder = path.dirname(at); folder !== root && folder.startsWith(root); folder = path.dirname(folder)) {
    try {
      fs.rmdirSync(folder);
    } catch {
      return;
    }
  }
}

let aside = 0;

/** Changes that become visible together: each file beside its place first, then renamed over it. */
class Batch {
  staged = [];
  removed = [];

  stage(name, make) {
    const { root, at } = place(name);
    const temporary = path.join(root, `${STAGED}${process.pid}-${++aside}`);
    // Noted first: where it cannot be written whole, the beginning of it has to go again.
    this.staged.push({ root, temporary, at });
    make(temporary);
  }

  write(name, executable, body) {
    this.stage(name, (temporary) => {
      fs.writeFileSync(temporary, body);
      fs.chmodSync(temporary, executable ? 0o755 : 0o644);
    });
  }

  link(name, target) {
    this.stage(name, (temporary) => fs.symlinkSync(target, temporary));
  }

  remove(name) {
    this.removed.push(place(name));
  }

  commit() {
    for (const { root, at } of this.removed) takeAway(root, at);
    for (const { root, temporary, at } of this.staged) {
      makeParents(root, at);
      if (look(at)?.isDirectory()) fs.rmSync(at, { recursive: true });
      fs.renameSync(temporary, at);
    }
    this.staged = [];
    this.removed = [];
  }

  drop() {
    for (const { temporary } of this.staged) fs.rmSync(temporary, { force: true });
    this.staged = [];
    this.removed = [];
  }
}

const peers = new Set();

function tellAll(message) {
  for (const peer of peers) peer.tell(message);
}

/** The application's process, with all that it starts: they are one group. */
const application = {
  child: null,
  run: 0,
  commit: 0, // the one that the last start was asked for by
  answering: false,
  wanted: undefined,
  stopping: null,

  signal(name) {
    try {
      process.kill(-this.child.pid, name);
    } catch {
      // It has ended a moment ago.
    }
  },

  /** Starts it, after the one that runs has ended. */
  start(commit) {
    this.wanted = commit;
    if (this.child === null) this.spawn();
    else this.end("SIGINT", STOP_WITHIN); // as from a keyboard: at once, without the courtesies of a rollout
  },

  stop() {
    this.wanted = undefined;
    if (this.child === null) process.exit(0);
    this.end("SIGTERM", 20 * STOP_WITHIN);
  },

  end(signal, within) {
    if (this.stopping !== null) return;
    this.signal(signal);
    this.stopping = setTimeout(() => this.signal("SIGKILL"), within);
  },

  spawn() {
    const commit = this.wanted;
    this.wanted = undefined;
    const [program, ...args] = settings.command;
    const child = spawn(program, args, { stdio: "inherit", detached: true });
    this.child = child;
    this.commit = commit;
    this.answering = false;
    const run = ++this.run;
    const ended = (code) => {
      if (this.child !== child) return;
      this.signal("SIGKILL"); // what it has left behind in its group
      clearTimeout(this.stopping);
      this.stopping = this.child = null;
      this.answering = false;
      if (ending) process.exit(0);
      if (this.wanted === undefined) tellAll({ is: "exited", run, code });
      else this.spawn();
    };
    child.on("error", (error) => {
      console.error(`xtask dev: ${program} does not start: ${error.message}`);
      if (child.pid === undefined) {
        this.child = null;
        tellAll({ is: "exited", run, code: 127 });
      }
    });
    child.on("exit", (code, signal) => ended(code ?? `signal ${signal}`));
    tellAll({ is: "started", id: commit, run });
    this.watch(run);
  },

  async watch(run) {
    while (this.child !== null && this.run === run) {
      const answers = await Promise.all(settings.ports.map(reachable));
      if (this.run !== run || this.child === null) return;
      if (answers.every(Boolean)) {
        this.answering = true;
        return tellAll({ is: "answering", run });
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
    }
  },
};

function reachable(port) {
  return new Promise((resolve) => {
    const probe = net.connect({ port, host: "127.0.0.1" });
    const end = (answer) => {
      probe.destroy();
      resolve(answer);
    };
    probe.on("connect", () => end(true));
    probe.on("error", () => end(false));
  });
}

const ORDERS = {
  hello: {},
  write: { to: "string", executable: "boolean", size: "number" },
  link: { to: "string", target: "string" },
  remove: { to: "string" },
  commit: { id: "number", restart: "boolean" },
};

/** What a message begins with, or nothing: whoever has connected does not speak of files. */
function headOf(line) {
  try {
    const head = JSON.parse(line);
    const wanted = Object.hasOwn(ORDERS, head?.do) ? ORDERS[head.do] : undefined;
    if (!wanted || Object.entries(wanted).some(([name, kind]) => typeof head[name] !== kind)) return undefined;
    const size = head.do === "write" ? head.size : 0;
    return Number.isSafeInteger(size) && size >= 0 ? { ...head, size } : undefined;
  } catch {
    return undefined;
  }
}

/** Somebody who is connected. */
class Peer {
  received = []; // as it came; joined when a message may be whole
  length = 0;
  unsaid = 0; // bytes received since the last sign of life
  head = null;
  batch = new Batch();
  refused = undefined; // why the next commit is

  constructor(stream) {
    this.stream = stream;
    stream.setNoDelay(true);
    stream.on("data", (data) => this.take(data));
    stream.on("error", () => {}); // `close` follows
    stream.on("close", () => {
      peers.delete(this);
      this.batch.drop();
    });
  }

  tell(message) {
    this.stream.write(`${JSON.stringify(message)}\n`);
  }

  take(data) {
    if (this.stream.destroyed) return;
    this.received.push(data);
    this.length += data.length;
    this.unsaid += data.length;
    if (this.unsaid >= SIGN_EVERY) {
      this.unsaid = 0;
      this.tell({ is: "receiving" });
    }
    if (this.head !== null && this.length < this.head.size) return;
    let rest = Buffer.concat(this.received);
    for (;;) {
      if (this.head === null) {
        const end = rest.indexOf(10);
        if (end < 0 && rest.length < LONGEST) break;
        const head = end < 0 ? undefined : headOf(rest.subarray(0, end).toString());
        if (head === undefined) return this.stream.destroy();
        this.head = head;
        rest = rest.subarray(end + 1);
      }
      if (rest.length < this.head.size) break;
      const [head, body] = [this.head, rest.subarray(0, this.head.size)];
      rest = rest.subarray(head.size);
      this.head = null;
      this.obey(head, body);
    }
    this.received = rest.length === 0 ? [] : [rest];
    this.length = rest.length;
  }

  obey(head, body) {
    switch (head.do) {
      case "hello":
        return this.describe();
      case "write":
        return this.prepare(() => this.batch.write(head.to, head.executable, body));
      case "link":
        return this.prepare(() => this.batch.link(head.to, head.target));
      case "remove":
        return this.prepare(() => this.batch.remove(head.to));
      default:
        return this.commit(head.id, head.restart);
    }
  }

  describe() {
    try {
      const files = listing();
      const { child, commit: id, answering } = application;
      this.tell({ is: "here", roots: settings.roots, files, running: child !== null, id, answering });
    } catch (error) {
      this.tell({ is: "refused", why: error.message });
    }
  }

  /** Does one thing of a batch, unless one before it could not be done. */
  prepare(order) {
    if (this.refused !== undefined) return;
    try {
      order();
    } catch (error) {
      // What follows up to the commit is passed over: half of a batch is nothing that anybody has saved.
      this.refused = error.message;
      this.batch.drop();
    }
  }

  commit(id, restart) {
    this.prepare(() => this.batch.commit());
    const why = this.refused;
    this.refused = undefined;
    if (why !== undefined) return this.tell({ is: "refused", why });
    this.tell({ is: "applied", id });
    if (restart) application.start(id);
  }
}

let ending = false;
for (const name of ["SIGTERM", "SIGINT"]) {
  process.on(name, () => {
    ending = true;
    application.stop();
  });
}
sweep();
net.createServer((stream) => peers.add(new Peer(stream))).listen(settings.listen, "127.0.0.1");
