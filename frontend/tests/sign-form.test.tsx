import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";

import { SignForm } from "@/components/sign-form";

import { Origin } from "./support/server";

let origin: Origin;
beforeEach(() => {
  origin = new Origin();
});

async function fill(fields: Record<string, string>) {
  const user = userEvent.setup();
  for (const [name, text] of Object.entries(fields)) await user.type(screen.getByLabelText(name), text);
  return user;
}

test("signs up and goes on", async () => {
  const go = vi.fn();
  render(<SignForm mode="up" next="/chat" go={go} />);
  const user = await fill({ Name: "Ada", "E-mail": "ada@example.com", Password: "correct horse" });
  await user.click(screen.getByRole("button", { name: "Create account" }));
  const sent = await origin.next();
  expect(sent).toMatchObject({
    method: "POST",
    path: "/api/auth/sign-up/email",
    body: { name: "Ada", email: "ada@example.com", password: "correct horse" },
  });
  expect(screen.getByRole("button", { name: "Creating…" })).toBeDisabled();
  sent.answer(200, {});
  const asked = await origin.next();
  expect(asked).toMatchObject({ method: "GET", path: "/api/auth/get-session" });
  expect(go).not.toHaveBeenCalled();
  asked.answer(200, { session: {}, user: {} });
  await vi.waitFor(() => expect(go).toHaveBeenCalledWith("/chat"));
});

test("a browser that does not take the cookie leads nowhere, and it is said why", async () => {
  const go = vi.fn();
  render(<SignForm mode="in" next="/tasks" go={go} />);
  await fill({ "E-mail": "ada@example.com", Password: "correct horse{Enter}" });
  (await origin.next()).answer(200, {});
  (await origin.next()).answer(200, null);
  expect(await screen.findByRole("alert")).toHaveTextContent("this browser does not keep the cookie here");
  expect(go).not.toHaveBeenCalled();
});

test("whether the cookie is there cannot be asked: that keeps nobody out", async () => {
  const go = vi.fn();
  render(<SignForm mode="in" next="/tasks" go={go} />);
  await fill({ "E-mail": "ada@example.com", Password: "correct horse{Enter}" });
  (await origin.next()).answer(200, {});
  (await origin.next()).answer(503, {});
  await vi.waitFor(() => expect(go).toHaveBeenCalledWith("/tasks"));
});

test.each([
  [401, { message: "Invalid email or password" }, "Invalid email or password."],
  [429, {}, "Too many attempts. Wait a minute and try again."],
  [500, { message: "internals" }, "That does not work right now. Try again in a moment."],
])("a refusal with %i is said, and the password is at hand", async (status, body, sentence) => {
  render(<SignForm mode="in" next="/tasks" go={vi.fn()} />);
  const user = await fill({ "E-mail": "ada@example.com", Password: "wrong horse{Enter}" });
  (await origin.next()).answer(status, body);
  expect(await screen.findByRole("alert")).toHaveTextContent(sentence);
  expect(screen.getByLabelText("Password")).toHaveFocus();
  await user.click(screen.getByRole("button", { name: "Show password" }));
  expect(screen.getByLabelText("Password")).toHaveAttribute("type", "text");
});

test("a network that is away is said", async () => {
  render(<SignForm mode="in" next="/tasks" go={vi.fn()} />);
  await fill({ "E-mail": "ada@example.com", Password: "correct horse{Enter}" });
  (await origin.next()).fail();
  expect(await screen.findByRole("alert")).toHaveTextContent("The application cannot be reached. Are you offline?");
});

test("the way to the other form keeps where to go", () => {
  render(<SignForm mode="in" next="/chat/3" />);
  expect(screen.getByRole("link", { name: "Create one" })).toHaveAttribute("href", "/sign-up?next=%2Fchat%2F3");
});
