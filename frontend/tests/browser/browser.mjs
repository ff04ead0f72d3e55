// The browser that the drives of this folder use: its sizes, its rules, and what everybody does there.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { chromium } from "playwright-core";

export const BASE = process.env.BASE_URL ?? "http://localhost:30080";
export const SHOTS = join(import.meta.dirname, ".artefacts");
export const SIZES = [
  { name: "phone", viewport: { width: 375, height: 740 }, hasTouch: true },
  { name: "desk", viewport: { width: 1280, height: 800 }, hasTouch: false },
];
export const PASSWORD = "correct horse battery";
const SCHEMES = ["dark", "light"];
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // A sandbox of its own is not to be had for root.
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });
}

/** A page in a context of its own. */
export async function newPage(browser, { viewport, hasTouch, timezoneId }) {
  const context = await browser.newContext({
    viewport,
    hasTouch,
    timezoneId,
    locale: "en-GB",
    reducedMotion: "reduce",
  });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  // Scripts that the policy stops, errors of the page's own: neither is ever right.
  page.on("pageerror", (error) => assert.fail(`the page failed: ${error.message}`));
  page.on("console", (message) => {
    if (/Content Security Policy|hydrat/i.test(message.text())) assert.fail(message.text());
  });
  return page;
}

/** In the page: resolves when it is drawn in its new colours, and none of them is on its way. */
async function settled() {
  await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  const moving = document.getAnimations().filter((animation) => animation instanceof CSSTransition);
  await Promise.all(moving.map((animation) => animation.finished.catch(() => undefined)));
}

/** What a drive does to a page, under the name of its size. */
export function notes(size, page) {
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
    /** Pictures in the light and in the dark, and what axe has against them. */
    look: async (title) => {
      number += 1;
      await page.evaluate(() => window.scrollTo(0, 0));
      for (const colorScheme of SCHEMES) {
        await page.emulateMedia({ colorScheme });
        await page.evaluate(settled);
        await page.evaluate(AXE);
        const { violations } = await page.evaluate((rules) => window.axe.run({ runOnly: rules }), RULES);
        const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
        const name = `${size.name}-${String(number).padStart(2, "0")}-${title}-${colorScheme}.png`;
        await page.screenshot({ path: join(SHOTS, name), fullPage: true });
        assert.deepEqual(found, [], `axe at ${title} in the ${colorScheme}`);
      }
      const silent = await page.$$eval("[role=status], [role=alert]", (regions) =>
        regions.filter((region) => getComputedStyle(region).display === "none").map((region) => region.outerHTML),
      );
      assert.deepEqual(silent, [], `readers would not hear of what changes at ${title}`);
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= size.viewport.width, `${title} is ${width} px wide`);
    },
  };
}

/** Somebody who has no account yet. */
export function somebody(name) {
  return { name, email: `${name.split(" ")[0].toLowerCase()}-${randomBytes(6).toString("hex")}@example.com` };
}

/** Fills the form that is open, and sends it. */
export async function signUp(page, { name, email }, beforeItIsSent = async () => {}) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("E-mail").fill(email);
  await page.getByRole("textbox", { name: "Password" }).fill(PASSWORD);
  await beforeItIsSent();
  await page.getByRole("button", { name: "Create account" }).click();
}
