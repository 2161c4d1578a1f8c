/** The pretend loader: waits, then answers or fails; stops when told to. */
export function pretend(latency: number, failing: boolean, signal?: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      if (failing) reject(new Error("the pretend origin answered 500"));
      else resolve("a value");
    }, latency);
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    signal?.addEventListener("abort", stop, { once: true });
  });
}
