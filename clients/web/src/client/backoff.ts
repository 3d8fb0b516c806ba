/** How long to wait before the next attempt. */

const FIRST_MS = 250;
const LONGEST_MS = 10_000;

/** Milliseconds before attempt `attempt` (the first is 1): doubling, with half of it random so that clients spread. */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  const whole = Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempt - 1));
  return Math.round(whole / 2 + (whole / 2) * random());
}
