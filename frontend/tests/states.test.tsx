import { render, screen } from "@testing-library/react";
import axe from "axe-core";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";

import LoadingChat from "@/app/(app)/chat/loading";
import LoadingTasks from "@/app/(app)/tasks/loading";
import Failure from "@/app/error";

const refresh = vi.hoisted(() => vi.fn());
// Next.js' own router is there only within its server's pages.
vi.mock("next/navigation", () => ({ useRouter: () => ({ refresh }) }));

/** What axe has against it; of colours it knows nothing here. */
async function complaints(container: HTMLElement): Promise<string[]> {
  const { violations } = await axe.run(container, { rules: { "color-contrast": { enabled: false } } });
  return violations.map(({ id }) => id);
}

test("a page that fails says so in words, and asks for itself again", async () => {
  const reset = vi.fn();
  const { container } = render(<Failure reset={reset} />);
  expect(await complaints(container)).toEqual([]);
  expect(screen.getByRole("heading", { level: 1, name: "This page cannot be shown right now" })).toBeVisible();
  await userEvent.click(screen.getByRole("button", { name: "Try again" }));
  expect(refresh).toHaveBeenCalledOnce();
  expect(reset).toHaveBeenCalledOnce();
});

test.each([
  ["Loading your tasks…", LoadingTasks],
  ["Loading the chat…", LoadingChat],
])("%s is said while it is so", async (text, Loading) => {
  const { container } = render(
    <main>
      <Loading />
    </main>,
  );
  expect(await complaints(container)).toEqual([]);
  expect(screen.getByRole("status")).toHaveTextContent(text);
});
