"use client";

import Link from "next/link";
import { usePathname } from "next/navigation";

const PAGES = [
  ["/tasks", "Tasks"],
  ["/chat", "Chat"],
] as const;

export function Navigation() {
  const path = usePathname();
  return (
    <nav aria-label="Pages" className="flex gap-1">
      {PAGES.map(([href, name]) => {
        const here = path === href || path.startsWith(`${href}/`);
        return (
          <Link
            key={href}
            href={href}
            aria-current={here ? "page" : undefined}
            className="rounded-lg px-3 py-2 font-medium text-soft hover:text-text aria-[current]:bg-tint aria-[current]:text-text"
          >
            {name}
          </Link>
        );
      })}
    </nav>
  );
}
