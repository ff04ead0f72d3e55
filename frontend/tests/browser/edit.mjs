// Waits in a real browser until a page that is open shows a text, without loading it again:
// BASE_URL=http://localhost:8080 TEXT=Welcome node tests/browser/edit.mjs
//
// Says `open` once the page is there. Ends with 0 when the text was seen. CHROMIUM names another
// browser than /usr/bin/chromium.

import assert from "node:assert/strict";

import { BASE, launch } from "./browser.mjs";

const { TEXT } = process.env;
const browser = await launch();
try {
  const page = await browser.newPage();
  await page.goto(`${BASE}/sign-in`);
  await page.getByRole("heading").first().waitFor();
  // A page that is loaded again forgets this.
  await page.evaluate(() => (window.wasOpen = true));
  console.log("open");
  await page.getByText(TEXT).first().waitFor({ timeout: 60_000 });
  assert.equal(await page.evaluate(() => window.wasOpen), true, "the page was not loaded again");
} finally {
  await browser.close();
}
