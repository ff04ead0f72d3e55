export default function Loading() {
  return (
    <div className="flex flex-1 flex-col gap-4 py-6">
      <p role="status" className="sr-only">
        Loading the chat…
      </p>
      <div className="h-9 w-32 animate-pulse rounded-lg bg-line" />
      <div className="card flex-1 animate-pulse" />
    </div>
  );
}
