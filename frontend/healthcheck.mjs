// For containers without a shell: exits 0 when this server answers.
const answer = await fetch(`http://127.0.0.1:${process.env.PORT ?? 3000}/api/health`, {
  signal: AbortSignal.timeout(5000),
}).catch(() => undefined);
process.exit(answer?.ok ? 0 : 1);
