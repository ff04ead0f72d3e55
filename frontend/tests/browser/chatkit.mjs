// Looks at the chat page of an application that was deployed with a domain key, in a real browser:
// BASE_URL=http://localhost:30080 node tests/browser/chatkit.mjs
//
// OpenAI's hosts are not asked: once ChatKit's script cannot be had, and then another one is there in
// its place, which does over the element's own interface what ChatKit does. It is told once that the key
// is this site's, and once that it is not. Ends with 0 when all of it went as it should.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";

import { BASE, launch, newPage, notes, SHOTS, signUp, SIZES, somebody } from "./browser.mjs";

const HOST = "https://cdn.platform.openai.com";
const KEYS = "https://api.openai.com/v1/chatkit/domain_keys/verify";
// Brings styles and a frame of its host, leaves with a key that is not known, and asks the backend one
// thing, all as ChatKit does.
const STAND_IN = `
  customElements.define("openai-chatkit", class extends HTMLElement {
    async setOptions({ api, initialThread }) {
      if (this.shadowRoot) return;
      const root = this.attachShadow({ mode: "open" });
      root.innerHTML = '<style>p { letter-spacing: 1px }</style><div><p></p>'
        + '<iframe title="ChatKit" src="${HOST}/frame.html"></iframe></div>';
      const body = JSON.stringify({ domain_key: api.domainKey });
      const { verified } = await (await fetch("${KEYS}", { method: "POST", body })).json();
      if (!verified) return root.querySelector("div").remove();
      const said = root.querySelector("p");
      said.textContent = "opened with " + initialThread;
      if (initialThread !== null) return;
      const content = [{ type: "input_text", text: "add milk for today" }];
      const params = { input: { content, attachments: [], inference_options: {} } };
      api.fetch(api.url, { method: "POST", body: JSON.stringify({ type: "threads.create", params }) })
        .then((answer) => answer.text())
        .then((text) => {
          said.textContent = text.includes('"thread.item.done"') ? "answered" : text;
          const threadId = /"thread_id":"([0-9]+)"/.exec(text)?.[1] ?? null;
          this.dispatchEvent(new CustomEvent("chatkit.thread.change", { detail: { threadId } }));
        });
    }
  });
`;
// A place whose day is seldom that of the server.
const ZONE = "Pacific/Kiritimati";

mkdirSync(SHOTS, { recursive: true });
const browser = await launch();
try {
  const [, desk] = SIZES;
  const size = { ...desk, name: "chatkit" };
  const page = await newPage(browser, { ...size, timezoneId: ZONE });
  const { look, step } = notes(size, page);

  await page.goto(`${BASE}/sign-up?next=/tasks`);
  await signUp(page, somebody("Ada Lovelace"));
  await page.getByText("Nothing to do").waitFor();

  await step("the application's own chat is there when ChatKit cannot be had", async () => {
    await page.route(`${HOST}/**`, (route) => route.abort());
    await page.goto(`${BASE}/chat`);
    await page.getByText("What can I do for your tasks?").waitFor();
    await look("own-chat");
    await page.unroute(`${HOST}/**`);
  });
  let verified = false;
  await page.route(KEYS, (route) => route.fulfill({ headers: { "access-control-allow-origin": "*" }, json: { verified } }));
  await page.route(`${HOST}/**`, (route) =>
    route.request().url().endsWith(".js")
      ? route.fulfill({ contentType: "text/javascript", body: STAND_IN })
      : route.fulfill({ contentType: "text/html", body: "<!doctype html><html lang=en><title>ChatKit</title><main><h1>framed</h1></main>" }),
  );
  await step("and when ChatKit takes itself away", async () => {
    await page.goto(`${BASE}/chat`);
    await page.getByText("What can I do for your tasks?").waitFor();
  });
  await step("ChatKit is let in by the policy, and says who answers", async () => {
    verified = true;
    const today = () => new Intl.DateTimeFormat("sv-SE", { timeZone: ZONE }).format();
    const before = today();
    await page.goto(`${BASE}/chat`);
    await page.getByText("answered", { exact: true }).waitFor();
    await page.frameLocator("iframe[title=ChatKit]").getByText("framed").waitFor();
    await page.getByText("The built-in assistant answers").waitFor();
    const spacing = await page.getByText("answered", { exact: true }).evaluate((said) => getComputedStyle(said).letterSpacing);
    assert.equal(spacing, "1px", "its styles count");
    await look("chatkit");
    const tasks = await page.evaluate(async () => (await fetch("/api/tasks")).json());
    assert.deepEqual(tasks.map(({ title }) => title), ["milk"]);
    assert.ok([before, today()].includes(tasks[0].due), `today is the person's, and not ${tasks[0].due}`);
  });
  await step("the address names the conversation, also after a reload", async () => {
    await page.waitForURL(/\/chat\/\d+$/);
    const number = page.url().split("/").at(-1);
    await page.reload();
    await page.getByText(`opened with ${number}`).waitFor();
  });
} finally {
  await browser.close();
}
console.log(`all of it went as it should at ${BASE}`);
