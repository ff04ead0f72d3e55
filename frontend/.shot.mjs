import { chromium } from "playwright-core";
const base = process.env.BASE ?? "http://localhost:13000";
const b = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const mail = `a${Date.now()}@example.com`;
for (const [w, scheme] of [[1280, "light"], [375, "dark"]]) {
  const c = await b.newContext({ viewport: { width: w, height: w > 500 ? 800 : 740 }, colorScheme: scheme });
  const p = await c.newPage();
  p.on("console", (m) => { if (["error", "warning"].includes(m.type())) console.log(w, m.text().slice(0, 300)); });
  p.on("pageerror", (e) => console.log("pageerror", e.message.slice(0, 300)));
  if (w === 1280) {
    await p.goto(base + "/sign-up"); await p.getByLabel("Name").fill("Ada Lovelace"); await p.getByLabel("E-mail").fill(mail); await p.getByRole("textbox", { name: "Password" }).fill("correct horse");
    await p.screenshot({ path: `/tmp/shots/up-${w}.png` });
    await p.getByRole("button", { name: "Create account" }).click();
  } else {
    await p.goto(base + "/tasks"); await p.getByLabel("E-mail").fill(mail); await p.getByRole("textbox", { name: "Password" }).fill("wrong horse");
    await p.getByRole("button", { name: "Sign in" }).click(); await p.getByRole("alert").first().waitFor();
    await p.screenshot({ path: `/tmp/shots/in-${w}.png` });
    await p.getByRole("textbox", { name: "Password" }).fill("correct horse"); await p.getByRole("button", { name: "Sign in" }).click();
  }
  await p.waitForURL("**/tasks"); await p.getByLabel("New task").fill("boom"); await p.getByRole("button", { name: "Add", exact: true }).click(); await p.getByText("was not added").waitFor();
  await p.screenshot({ path: `/tmp/shots/refused-${w}.png` });
  await p.getByLabel("New task").fill("Call the dentist " + w); await p.getByRole("button", { name: "Add", exact: true }).click(); await p.getByText("added.").waitFor();
  await p.getByRole("button", { name: /^Edit/ }).nth(1).click();
  await p.screenshot({ path: `/tmp/shots/tasks-${w}.png`, fullPage: true });
  await p.goto(base + "/chat"); await p.waitForTimeout(800);
  const box = p.getByLabel("Message"); if (await box.count()) { await box.fill("add milk for tomorrow"); await box.press("Enter"); await p.getByText("when it is").first().waitFor({timeout:5000}).catch(e=>console.log(e.message)); await p.waitForTimeout(500); await p.screenshot({ path: `/tmp/shots/chat-${w}.png` }); await p.reload(); await p.waitForTimeout(800); console.log(p.url()); await p.screenshot({ path: `/tmp/shots/chat2-${w}.png` }); }
  await c.close();
}
await b.close();
