export default function Loading() {
  return (
    <div className="flex flex-col gap-4 py-6 sm:py-8">
      <p role="status" className="sr-only">
        Loading your tasks…
      </p>
      <div className="h-9 w-32 animate-pulse rounded-lg bg-line" />
      <div className="card h-24 animate-pulse" />
      <div className="card h-64 animate-pulse" />
    </div>
  );
}
