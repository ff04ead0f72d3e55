import { Fragment, type ReactNode } from "react";

import { blocks, type Block, type Inline } from "@/lib/markdown";

/** Text of an assistant. Its links open elsewhere and tell nobody where they were followed. */
export function RichText({ text }: { text: string }) {
  return (
    <div className="flex flex-col gap-2 wrap-anywhere">
      {blocks(text).map((block, index) => (
        <BlockView key={index} block={block} />
      ))}
    </div>
  );
}

function BlockView({ block }: { block: Block }) {
  switch (block.kind) {
    case "code":
      return <pre className="overflow-x-auto rounded-lg bg-page p-3 text-sm" tabIndex={0}>{block.text}</pre>;
    case "list": {
      const items = block.items.map((item, index) => <li key={index}>{inline(item)}</li>);
      return block.ordered ? (
        <ol start={block.start} className="list-decimal pl-6">
          {items}
        </ol>
      ) : (
        <ul className="list-disc pl-6">{items}</ul>
      );
    }
    case "paragraph":
      return (
        <p>
          {block.lines.map((line, index) => (
            <Fragment key={index}>
              {index > 0 ? <br /> : null}
              {inline(line)}
            </Fragment>
          ))}
        </p>
      );
  }
}

function inline(nodes: Inline[]): ReactNode {
  return nodes.map((node, index) => {
    switch (node.kind) {
      case "text":
        return <Fragment key={index}>{node.text}</Fragment>;
      case "code":
        return (
          <code key={index} className="rounded bg-page px-1 py-0.5 text-[0.9em]">
            {node.text}
          </code>
        );
      case "strong":
        return <strong key={index}>{inline(node.children)}</strong>;
      case "emphasis":
        return <em key={index}>{inline(node.children)}</em>;
      case "link":
        return (
          <a
            key={index}
            href={node.href}
            target="_blank"
            rel="noopener noreferrer"
            className="text-accent underline underline-offset-2"
          >
            {inline(node.children)}
          </a>
        );
    }
  });
}
