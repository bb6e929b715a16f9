/** Resolves after `ms` milliseconds. */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Calls `check` until it gives something truthy, and resolves to that. An
 * exception counts as "not yet"; the last one is told if time runs out.
 */
export async function until(what, check, { timeout = 15_000, every = 20 } = {}) {
  const deadline = performance.now() + timeout;
  let lastError;
  for (;;) {
    try {
      const result = await check();
      if (result) {
        return result;
      }
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`gave up after ${timeout} ms waiting until ${what}`, { cause: lastError });
    }
    await sleep(every);
  }
}

/** Resolves as `promise` does, or fails after `timeout` milliseconds. */
export async function within(what, promise, timeout) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`gave up after ${timeout} ms waiting for ${what}`)), timeout);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
