/** Opens another page as a new document, so that nothing of a former user stays in memory. */
export function leave(path: string): void {
  window.location.assign(path);
}
