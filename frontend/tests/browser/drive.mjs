// Drives a deployed application in a real browser, as two people use it, at a phone's width and at a
// desk's: BASE_URL=http://localhost:30080 node tests/browser/drive.mjs
//
// Every page is checked by axe and photographed, light and dark, into .artefacts beside this file.
// Ends with 0 when all of it went as it should. CHROMIUM names another browser than /usr/bin/chromium.

import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";

import { BASE, launch, newPage, notes, PASSWORD, SHOTS, signUp, SIZES, somebody } from "./browser.mjs";

rmSync(SHOTS, { recursive: true, force: true });
mkdirSync(SHOTS);
const browser = await launch();
try {
  for (const size of SIZES) await drive(size);
} finally {
  await browser.close();
}
console.log(`all of it went as it should at ${BASE}; pictures are in ${SHOTS}`);

async function drive(size) {
  const person = somebody("Ada Lovelace");
  const page = await newPage(browser, size);
  const { look, step } = notes(size, page);

  await step("who is signed out is led to sign in", async () => {
    for (const path of ["/chat/1", "/tasks?show=open", "/tasks"]) {
      await page.goto(`${BASE}${path}`);
      await page.waitForURL(`**/sign-in?next=${encodeURIComponent(path)}`);
    }
    await look("sign-in");
  });
  await step("sign up", async () => {
    await page.getByRole("link", { name: "Create one" }).click();
    await signUp(page, person, () => look("sign-up"));
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
  await step("an answer that fails says so", async () => {
    const failed = 'event: error\ndata: {"message":"The assistant could not answer. Please try again."}\n\n';
    await page.route("**/api/chat", (route) => route.fulfill({ contentType: "text/event-stream", body: failed }));
    await page.getByRole("textbox", { name: "Message" }).fill("what is left?");
    await page.keyboard.press("Enter");
    await page.getByText("The assistant could not answer.").waitFor();
    await look("chat-failed");
    await page.unroute("**/api/chat");
  });
  await step("a reload keeps the conversation", async () => {
    await page.waitForURL(/\/chat\/\d+$/);
    await page.reload();
    await page.getByRole("list", { name: "Messages" }).getByText("add milk for tomorrow").waitFor();
    for (const tool of ["add_task", "list_tasks", "complete_task"]) {
      await page.locator(`[data-tool="${tool}"]`).first().waitFor();
    }
  });
  await step("the way back and forth shows what is there now", async () => {
    const link = (name) => page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name });
    await link("Tasks").click();
    await row("milk").waitFor();
    await page.getByLabel("New task").fill("Sow grass");
    await page.keyboard.press("Enter");
    await page.getByText("“Sow grass” added.").waitFor();
    await link("Chat").click();
    await page.getByText("What can I do for your tasks?").waitFor();
    await page.getByRole("textbox", { name: "Message" }).fill("done with sow grass");
    await page.keyboard.press("Enter");
    await page.locator('[data-tool="complete_task"]').waitFor();
    await page.getByRole("button", { name: "Send" }).waitFor();
    const conversation = page.url();
    // Both pages were made before any of that.
    await page.goBack();
    await row("Sow grass").waitFor();
    assert.equal(await row("Sow grass").getByRole("checkbox").isChecked(), true);
    await page.goForward();
    for (const turn of ["forward", "reload"]) {
      if (turn === "reload") await page.reload();
      await page.getByRole("list", { name: "Messages" }).getByText("done with sow grass").waitFor();
      await page.locator('[data-tool="complete_task"]').waitFor();
      assert.equal(page.url(), conversation);
    }
  });
  await step("an answer that is still being made shows when it is there", async () => {
    const asked = { id: 1, role: "user", text: "think", tools: [], created_at: "2030-01-01T00:00:00Z", answering: true };
    const answer = { ...asked, id: 2, role: "assistant", text: "Thought.", answering: false };
    let made = false;
    await page.route("**/api/conversations/*/messages", (route) =>
      route.fulfill({ json: made ? [{ ...asked, answering: false }, answer] : [asked] }),
    );
    await page.goto(`${BASE}/chat`);
    const list = page.getByRole("navigation", { name: "Conversations" });
    if (size.name === "phone") await list.getByText("Earlier conversations").click();
    await list.getByRole("button", { name: "add milk for tomorrow", exact: true }).click();
    await page.getByText("Still being answered…").waitFor();
    await look("chat-still-answered");
    made = true;
    await page.getByText("Thought.").waitFor();
    await page.unroute("**/api/conversations/*/messages");
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
    await signUp(page, somebody("Grace Hopper"));
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

async function signIn(page, { email }, password) {
  await page.getByLabel("E-mail").fill(email);
  await page.getByRole("textbox", { name: "Password" }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function signOut(page) {
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL("**/sign-in");
}
