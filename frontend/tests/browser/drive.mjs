// Drives a deployed application in a real browser, as two people use it, at a phone's width and at a
// desk's: BASE_URL=http://localhost:30080 node tests/browser/drive.mjs
//
// Every page is checked by axe and photographed into .artefacts beside this file. Ends with 0 when
// all of it went as it should. CHROMIUM names another browser than /usr/bin/chromium.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { chromium } from "playwright-core";

const BASE = process.env.BASE_URL ?? "http://localhost:30080";
const SHOTS = join(import.meta.dirname, ".artefacts");
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const SIZES = [
  { name: "phone", viewport: { width: 375, height: 740 }, colorScheme: "dark", hasTouch: true },
  { name: "desk", viewport: { width: 1280, height: 800 }, colorScheme: "light", hasTouch: false },
];
const PASSWORD = "correct horse battery";

rmSync(SHOTS, { recursive: true, force: true });
mkdirSync(SHOTS);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  // A sandbox of its own is not to be had for root.
  args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
});
try {
  for (const size of SIZES) await drive(size);
} finally {
  await browser.close();
}
console.log(`all of it went as it should at ${BASE}; pictures are in ${SHOTS}`);

async function drive(size) {
  const person = { name: "Ada Lovelace", email: `ada-${randomBytes(6).toString("hex")}@example.com` };
  const page = await newPage(size);
  const { look, step } = notes(size, page);

  await step("who is signed out is led to sign in", async () => {
    await page.goto(`${BASE}/tasks`);
    await page.waitForURL("**/sign-in?next=%2Ftasks");
    await look("sign-in");
  });
  await step("sign up", async () => {
    await page.getByRole("link", { name: "Create one" }).click();
    await page.getByLabel("Name").fill(person.name);
    await page.getByLabel("E-mail").fill(person.email);
    await page.getByRole("textbox", { name: "Password" }).fill(PASSWORD);
    await look("sign-up");
    await page.getByRole("button", { name: "Create account" }).click();
    await page.waitForURL("**/tasks");
    await page.getByText("Nothing to do").waitFor();
    await look("tasks-empty");
  });
  await step("sign out, and in again after a wrong password", async () => {
    await signOut(page);
    await signIn(page, person, "wrong horse");
    await page.getByText("Invalid email or password.").waitFor();
    await look("sign-in-refused");
    await signIn(page, person, PASSWORD);
    await page.waitForURL("**/tasks");
  });

  const row = (title) => page.getByRole("list", { name: "Tasks" }).getByRole("listitem").filter({ hasText: title });
  await step("add by keyboard", async () => {
    for (const title of ["Buy bread", "Call the dentist", "Water the plants on the balcony before they dry out"]) {
      await page.getByLabel("New task").fill(title);
      await page.keyboard.press("Enter");
      await page.getByText(`“${title}” added.`).waitFor();
    }
    assert.equal(await page.getByRole("checkbox").count(), 3);
  });
  await step("edit by keyboard", async () => {
    await row("Buy bread").getByRole("button", { name: /^Edit/ }).focus();
    await page.keyboard.press("Enter");
    await page.keyboard.type("Buy rye bread");
    const form = page.getByRole("form", { name: /Edit/ });
    await form.getByLabel("Due").fill("2031-05-17");
    await form.getByLabel("Priority").selectOption("high");
    await look("tasks-edit");
    await form.getByRole("button", { name: "Save" }).click();
    await page.getByText("“Buy rye bread” saved.").waitFor();
    await row("Buy rye bread").getByText("Due 17 May 2031").waitFor();
    await row("Buy rye bread").getByText("high priority").waitFor();
  });
  await step("complete", async () => {
    await row("Call the dentist").getByRole("checkbox").check();
    await page.getByText("“Call the dentist” done.").waitFor();
    await look("tasks");
  });
  await step("delete, and undo", async () => {
    for (const undo of [true, false]) {
      await row("Water the plants").getByRole("button", { name: /^Delete/ }).click();
      await page.getByText(/^“Water the plants.*” deleted\.$/).waitFor();
      assert.equal(await row("Water the plants").count(), 0);
      if (!undo) continue;
      await page.getByRole("button", { name: "Undo" }).click();
      await page.getByText(/^“Water the plants.*” is back\.$/).waitFor();
    }
  });
  await step("search, filter and sort, kept by a reload", async () => {
    await page.getByRole("searchbox").fill("RYE");
    await row("Call the dentist").waitFor({ state: "detached" });
    await page.waitForURL("**/tasks?q=RYE");
    await page.reload();
    await row("Buy rye bread").waitFor();
    assert.equal(await page.getByRole("checkbox").count(), 1);
    await page.getByRole("searchbox").fill("nothing like it");
    await page.getByText("No task fits").waitFor();
    await page.getByRole("searchbox").fill("");
    await page.getByText("Done", { exact: true }).click();
    await row("Buy rye bread").waitFor({ state: "detached" });
    await row("Call the dentist").waitFor();
    await page.goto(`${BASE}/tasks?sort=priority`);
    assert.match(await page.getByRole("list", { name: "Tasks" }).getByRole("listitem").first().innerText(), /Buy rye bread/);
  });
  await step("a refused change is rolled back", async () => {
    await page.route("**/api/tasks/*", (route) => route.fulfill({ status: 503, json: { detail: "The backend is away." } }));
    await row("Buy rye bread").getByRole("checkbox").click();
    await page.getByText("“Buy rye bread” was not changed. The backend is away.").waitFor();
    assert.equal(await row("Buy rye bread").getByRole("checkbox").isChecked(), false);
    await look("tasks-refused");
    await page.unroute("**/api/tasks/*");
  });

  await step("chat with three tool calls", async () => {
    await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Chat" }).click();
    await page.getByText("What can I do for your tasks?").waitFor();
    await look("chat-empty");
    for (const [text, tool] of [
      ["add milk for tomorrow", "add_task"],
      ["what is left?", "list_tasks"],
      ["done with milk", "complete_task"],
    ]) {
      await page.getByRole("textbox", { name: "Message" }).fill(text);
      await page.keyboard.press("Enter");
      await page.locator(`[data-tool="${tool}"]`).first().waitFor();
      await page.getByRole("button", { name: "Send" }).waitFor();
    }
    assert.equal(await page.getByRole("main").getByRole("alert").filter({ hasText: /./ }).count(), 0, "no answer failed");
    await look("chat");
  });
  await step("a reload keeps the conversation", async () => {
    await page.waitForURL(/\/chat\/\d+$/);
    await page.reload();
    await page.getByRole("list", { name: "Messages" }).getByText("add milk for tomorrow").waitFor();
    for (const tool of ["add_task", "list_tasks", "complete_task"]) {
      await page.locator(`[data-tool="${tool}"]`).first().waitFor();
    }
  });
  await step("what the assistant did is done", async () => {
    await page.goto(`${BASE}/tasks`);
    assert.equal(await row("milk").getByRole("checkbox").isChecked(), true);
  });
  const conversation = await page.evaluate(async () => (await (await fetch("/api/conversations")).json())[0].id);
  const task = await page.evaluate(async () => (await (await fetch("/api/tasks")).json())[0].id);
  await step("sign out", async () => {
    await signOut(page);
    assert.equal(await page.evaluate(async () => (await fetch("/api/tasks")).status), 401);
  });

  await step("a second person sees nothing of it", async () => {
    await page.goto(`${BASE}/sign-up`);
    await page.getByLabel("Name").fill("Grace Hopper");
    await page.getByLabel("E-mail").fill(`grace-${randomBytes(6).toString("hex")}@example.com`);
    await page.getByRole("textbox", { name: "Password" }).fill(PASSWORD);
    await page.getByRole("button", { name: "Create account" }).click();
    await page.getByText("Nothing to do").waitFor();
    const statuses = await page.evaluate(
      async ({ conversation, task }) => {
        const paths = [`/api/tasks/${task}`, `/api/conversations/${conversation}/messages`];
        return Promise.all(paths.map(async (path) => (await fetch(path)).status));
      },
      { conversation, task },
    );
    assert.deepEqual(statuses, [404, 404]);
    await page.goto(`${BASE}/chat/${conversation}`);
    await page.getByText("There is no such page").waitFor();
    await look("not-found");
  });
  await page.context().close();
}

async function newPage({ viewport, colorScheme, hasTouch }) {
  const context = await browser.newContext({ viewport, colorScheme, hasTouch, locale: "en-GB" });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  // Scripts that the policy stops, errors of the page's own: neither is ever right.
  page.on("pageerror", (error) => assert.fail(`the page failed: ${error.message}`));
  page.on("console", (message) => {
    if (/Content Security Policy|hydrat/i.test(message.text())) assert.fail(message.text());
  });
  return page;
}

function notes(size, page) {
  let number = 0;
  return {
    /** Runs what a person does, and says where it went wrong. */
    step: async (title, run) => {
      try {
        await run();
        console.log(`${size.name}: ${title}`);
      } catch (error) {
        await page.screenshot({ path: join(SHOTS, `${size.name}-failed.png`) });
        throw new Error(`${size.name}: ${title}`, { cause: error });
      }
    },
    /** A picture, and what axe has against it. */
    look: async (title) => {
      number += 1;
      await page.evaluate(() => window.scrollTo(0, 0));
      await page.screenshot({ path: join(SHOTS, `${size.name}-${String(number).padStart(2, "0")}-${title}.png`), fullPage: true });
      await page.evaluate(AXE);
      const { violations } = await page.evaluate((rules) => window.axe.run({ runOnly: rules }), RULES);
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
      assert.deepEqual(found, [], `axe at ${title}`);
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= size.viewport.width, `${title} is ${width} px wide`);
    },
  };
}

async function signIn(page, { email }, password) {
  await page.getByLabel("E-mail").fill(email);
  await page.getByRole("textbox", { name: "Password" }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function signOut(page) {
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL("**/sign-in");
}
