// Runs inside a container under `dev`: receives files and keeps the application running. Node 18 or later.
//
// It speaks what agent.py speaks: a message is a line of JSON, then as many bytes as its `size` says. What is asked:
// `hello`, `write`, `link`, `remove`, `commit`. What is told: `here`, `applied`, `started`, `answering`, `exited`,
// `refused`.

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
const STAGED = ".xtask-";

/** The root and the path that a name such as `0/models/task.ts` means. */
function place(name) {
  const [index, ...parts] = name.split("/");
  const root = roots[Number(index)];
  if (root === undefined || parts.length === 0 || parts.some((part) => ["", ".", ".."].includes(part))) {
    throw new Error(`not a path below a synced folder: ${name}`);
  }
  return { root, at: path.join(root, ...parts) };
}

function look(at) {
  return fs.lstatSync(at, { throwIfNoEntry: false });
}

/** What is in the synced folders: digests of files, targets of symlinks. */
function listing() {
  const found = {};
  const visit = (index, folder, prefix) => {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      const at = path.join(folder, entry.name);
      const name = `${prefix}/${entry.name}`;
      if (entry.isDirectory()) {
        visit(index, at, name);
      } else if (entry.isSymbolicLink()) {
        found[name] = `link ${fs.readlinkSync(at)}`;
      } else if (entry.isFile() && !entry.name.startsWith(STAGED)) {
        const digest = createHash("sha256").update(fs.readFileSync(at)).digest("hex");
        found[name] = `${fs.statSync(at).mode & 0o100 ? "x" : "f"} ${digest}`;
      }
    }
  };
  roots.forEach((root, index) => visit(index, root, String(index)));
  return found;
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
    make(temporary);
    this.staged.push({ root, temporary, at });
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
    const run = ++this.run;
    const ended = (code) => {
      if (this.child !== child) return;
      this.signal("SIGKILL"); // what it has left behind in its group
      clearTimeout(this.stopping);
      this.stopping = this.child = null;
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
      if (answers.every(Boolean)) return tellAll({ is: "answering", run });
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

/** Somebody who is connected. */
class Peer {
  received = Buffer.alloc(0);
  head = null;
  batch = new Batch();

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
    this.received = Buffer.concat([this.received, data]);
    for (;;) {
      if (this.head === null) {
        const end = this.received.indexOf(10);
        if (end < 0) return;
        this.head = JSON.parse(this.received.subarray(0, end).toString());
        this.received = this.received.subarray(end + 1);
      }
      const size = this.head.size ?? 0;
      if (this.received.length < size) return;
      const body = this.received.subarray(0, size);
      this.received = this.received.subarray(size);
      const head = this.head;
      this.head = null;
      try {
        this.obey(head, body);
      } catch (error) {
        this.batch.drop();
        this.tell({ is: "refused", why: error.message });
      }
    }
  }

  obey(head, body) {
    switch (head.do) {
      case "hello":
        return this.tell({ is: "here", files: listing(), running: application.child !== null, run: application.run });
      case "write":
        return this.batch.write(head.to, head.executable, body);
      case "link":
        return this.batch.link(head.to, head.target);
      case "remove":
        return this.batch.removed.push(place(head.to));
      case "commit":
        this.batch.commit();
        this.tell({ is: "applied", id: head.id });
        if (head.restart) application.start(head.id);
        return undefined;
      default:
        throw new Error(`unknown order ${head.do}`);
    }
  }
}

let ending = false;
for (const name of ["SIGTERM", "SIGINT"]) {
  process.on(name, () => {
    ending = true;
    application.stop();
  });
}
net.createServer((stream) => peers.add(new Peer(stream))).listen(settings.listen, "127.0.0.1");
