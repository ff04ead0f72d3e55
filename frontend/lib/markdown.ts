/**
 * The part of Markdown that assistants write, as a tree: paragraphs, lists, code, emphasis, links.
 * There is no HTML in it, neither read nor made: what looks like a tag stays text.
 */

export type Inline =
  | { kind: "text"; text: string }
  | { kind: "code"; text: string }
  | { kind: "strong" | "emphasis"; children: Inline[] }
  | { kind: "link"; href: string; children: Inline[] };

export type Block =
  | { kind: "paragraph"; lines: Inline[][] }
  | { kind: "code"; text: string }
  | { kind: "list"; ordered: boolean; start: number; items: Inline[][] };

const ITEM = /^\s*(?:[-*•]|(\d{1,9})[.)])\s+(.*)$/;
const HEADING = /^#{1,6}\s+(.*)$/;

export function blocks(text: string): Block[] {
  const found: Block[] = [];
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] as string;
    const before = found.at(-1);
    if (line.trimStart().startsWith("```")) {
      const end = lines.findIndex((one, index) => index > at && one.trim() === "```");
      // A fence that is still open: the answer is still being written.
      const until = end < 0 ? lines.length : end;
      found.push({ kind: "code", text: lines.slice(at + 1, until).join("\n") });
      at = until;
      continue;
    }
    const item = ITEM.exec(line);
    const heading = HEADING.exec(line);
    if (item) {
      const ordered = item[1] !== undefined;
      const content = inlines(item[2] as string);
      if (before?.kind === "list" && before.ordered === ordered) before.items.push(content);
      else found.push({ kind: "list", ordered, start: Number(item[1] ?? 1), items: [content] });
    } else if (heading) {
      found.push({ kind: "paragraph", lines: [[{ kind: "strong", children: inlines(heading[1] as string) }]] });
    } else if (line.trim() !== "") {
      const follows = (lines[at - 1] ?? "").trim() !== "";
      if (before?.kind === "paragraph" && follows) before.lines.push(inlines(line));
      else found.push({ kind: "paragraph", lines: [inlines(line)] });
    }
  }
  return found;
}

const MARKS: [RegExp, (match: RegExpExecArray) => Inline | null][] = [
  [/`([^`]+)`/, ([, text]) => ({ kind: "code", text: text as string })],
  [/\*\*(.+?)\*\*/, ([, text]) => ({ kind: "strong", children: inlines(text as string) })],
  [/(?<![\w*])\*([^*\s](?:[^*]*[^*\s])?)\*(?![\w*])/, ([, text]) => ({ kind: "emphasis", children: inlines(text as string) })],
  [/\[([^\]]+)\]\((https?:\/\/[^\s()]+)\)/, ([, text, href]) => ({ kind: "link", href: href as string, children: inlines(text as string) })],
];

export function inlines(text: string): Inline[] {
  let first: { match: RegExpExecArray; make: (match: RegExpExecArray) => Inline | null } | undefined;
  for (const [pattern, make] of MARKS) {
    const match = pattern.exec(text);
    if (match && (!first || match.index < first.match.index)) first = { match, make };
  }
  const node = first?.make(first.match);
  if (!first || !node) return text ? [{ kind: "text", text }] : [];
  const { index } = first.match;
  const before: Inline[] = index > 0 ? [{ kind: "text", text: text.slice(0, index) }] : [];
  return [...before, node, ...inlines(text.slice(index + first.match[0].length))];
}
