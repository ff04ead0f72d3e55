import type { ReactNode } from "react";

/** Says at once what did not work. */
export function Alert({ children }: { children: ReactNode }) {
  return (
    <div role="alert" className="rounded-lg bg-danger-tint px-4 py-3 text-danger">
      {children}
    </div>
  );
}
