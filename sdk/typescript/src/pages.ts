// Lists: a page is an array that knows where the next one begins, and a call of a list is all of its pages.

import { UnexpectedAnswer } from './errors.js';

/** An array, with what else the answer says as properties of it. */
export type Page<Item, More = unknown> = Item[] & {
  /** Give it as `cursor` for the next page; null on the last. */
  readonly nextCursor: string | null;
} & Readonly<More>;

/** A page to await, and all items from there on to iterate over: `for await (const service of client.services.list())`. */
export interface PagePromise<Item, P> extends Promise<P>, AsyncIterable<Item> {
  /** The pages, one after the other, beginning with this one. */
  pages(): AsyncGenerator<P, void, undefined>;
}

/** Makes a list's promise of its first page, the way to the next ones, and the items of one. */
export function pagePromise<Item, P extends { readonly nextCursor?: string | null }>(
  first: Promise<P>,
  next: (cursor: string) => Promise<P>,
  items: (page: P) => readonly Item[],
): PagePromise<Item, P> {
  async function* pages(): AsyncGenerator<P, void, undefined> {
    const seen = new Set<string>();
    for (let page = await first; ;) {
      yield page;
      const cursor = page.nextCursor;
      if (cursor == null) return;
      if (seen.has(cursor)) {
        throw new UnexpectedAnswer('The next page is one that was there already, and the list would never end', {
          code: 'unreadable_answer',
        });
      }
      seen.add(cursor);
      page = await next(cursor);
    }
  }
  async function* all(): AsyncGenerator<Item, void, undefined> {
    for await (const page of pages()) yield* items(page);
  }
  return Object.assign(first, { pages, [Symbol.asyncIterator]: all });
}

/**
 * An array of an answer's list; the rest of the answer goes beside it, where no iteration meets it.
 * What a newer gateway says under a name that arrays have, such as `length`, stands behind a dollar sign.
 */
export function page(items: readonly unknown[], rest: Readonly<Record<string, unknown>>): unknown[] {
  const named = Object.entries(rest).map(([name, one]) => [name in Array.prototype ? `$${name}` : name, one]);
  return beside([...items], { ...Object.fromEntries(named), nextCursor: rest['nextCursor'] ?? null });
}

/** Properties that are read by name only: not by loops, spreads or JSON. */
export function beside<T extends object>(value: T, rest: Readonly<Record<string, unknown>>): T {
  for (const [name, one] of Object.entries(rest)) Object.defineProperty(value, name, { value: one, enumerable: false });
  return value;
}
