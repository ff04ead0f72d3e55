/**
 * A real PostgreSQL for tests, with a pgbouncer in transaction mode before it: Debian's binaries, a
 * folder of their own, gone afterwards.
 */

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Client, type ClientConfig } from "pg";

/** Every character that a careless URL breaks on. */
export const PASSWORD = "p@ss/word:%#?";
const HOME = "/usr/lib/postgresql";

export class Postgres {
  private databases = 0;

  private constructor(
    private readonly folder: string,
    private readonly port: number,
    private readonly bouncer: { port: number; process: ChildProcess },
  ) {}

  static async start(): Promise<Postgres> {
    const folder = mkdtempSync(join(tmpdir(), "todo-postgres-"));
    const port = await freePort();
    const password = join(folder, "password");
    writeFileSync(password, PASSWORD);
    if (asOther.uid !== undefined) chownSync(folder, asOther.uid, asOther.gid as number);
    chmodSync(folder, 0o755);
    run("initdb", ["--pgdata", join(folder, "data"), `--pwfile=${password}`, "--username=todo", "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8"]);
    certify(join(folder, "data"));
    const settings = `ssl=on\nport=${port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories=''\nfsync=off\n`;
    writeFileSync(join(folder, "data", "postgresql.auto.conf"), settings);
    run("pg_ctl", ["start", "--wait", "--pgdata", join(folder, "data"), "--log", join(folder, "data", "log")]);
    return new Postgres(folder, port, await startBouncer(folder, port));
  }

  /** An empty database of the test's own. */
  async database(): Promise<ClientConfig> {
    const name = `test_${++this.databases}`;
    await this.sql(`CREATE DATABASE ${name}`, "postgres");
    return { host: "127.0.0.1", port: this.port, user: "todo", password: PASSWORD, database: name };
  }

  /** The same database through the pooler. */
  pooled(database: ClientConfig): ClientConfig {
    return { ...database, port: this.bouncer.port };
  }

  async sql(statement: string, database: string): Promise<Record<string, unknown>[]> {
    const client = new Client({ host: "127.0.0.1", port: this.port, user: "todo", password: PASSWORD, database });
    await client.connect();
    try {
      return (await client.query(statement)).rows as Record<string, unknown>[];
    } finally {
      await client.end();
    }
  }

  async stop(): Promise<void> {
    const ended = once(this.bouncer.process, "exit");
    this.bouncer.process.kill("SIGKILL");
    await ended;
    run("pg_ctl", ["stop", "--wait", "--pgdata", join(this.folder, "data"), "--mode=immediate"]);
    rmSync(this.folder, { recursive: true });
  }
}

/** PostgreSQL refuses to run as root; Debian's package brings the user. */
const asOther: { uid?: number; gid?: number } =
  process.getuid?.() === 0
    ? { uid: Number(execFileSync("id", ["-u", "postgres"])), gid: Number(execFileSync("id", ["-g", "postgres"])) }
    : {};

function run(program: string, parameters: string[]): void {
  const version = readdirSync(HOME).sort((a, b) => Number(a) - Number(b)).at(-1) ?? "";
  // Output goes nowhere: a pipe would stay open in the server that pg_ctl leaves behind.
  execFileSync(join(HOME, version, "bin", program), parameters, { ...asOther, cwd: "/", stdio: ["ignore", "ignore", "inherit"] });
}

/** A certificate that nobody has signed but itself. */
function certify(folder: string): void {
  const files = ["-keyout", join(folder, "server.key"), "-out", join(folder, "server.crt")];
  const parameters = ["req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=localhost", ...files];
  execFileSync("openssl", parameters, { ...asOther, cwd: "/", stdio: "ignore" });
}

async function startBouncer(folder: string, server: number): Promise<{ port: number; process: ChildProcess }> {
  const port = await freePort();
  const users = join(folder, "users");
  writeFileSync(users, `"todo" "${PASSWORD}"\n`);
  const settings = [
    "[databases]",
    `* = host=127.0.0.1 port=${server}`,
    "[pgbouncer]",
    "listen_addr = 127.0.0.1",
    `listen_port = ${port}`,
    "unix_socket_dir =",
    "auth_type = scram-sha-256",
    `auth_file = ${users}`,
    "pool_mode = transaction",
    "default_pool_size = 2",
  ];
  const file = join(folder, "pgbouncer.ini");
  writeFileSync(file, settings.join("\n"));
  const child = spawn("/usr/sbin/pgbouncer", ["--quiet", file], { ...asOther, stdio: "ignore" });
  await answers(port);
  return { port, process: child };
}

async function answers(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const [event] = await Promise.race([
      once(socket, "connect").then(() => ["connect"]),
      once(socket, "error").then(() => ["error"]),
    ]).catch(() => ["error"]);
    socket.destroy();
    if (event === "connect") return;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
