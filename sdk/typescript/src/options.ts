// Options: what a client is told, by its caller or by the environment, checked before anything is sent.

import { ConfigurationError } from './errors.js';
import type { LogEvent } from './transport.js';

/** How to reach a gateway. What is left out comes from the environment, where there is one, or is as said here. */
export interface Options {
  /** The token that begins with `smcp_`; else `SMARTERMCP_API_TOKEN`. */
  readonly apiToken?: string | undefined;
  /** The tenant, by id or slug; else `SMARTERMCP_TENANT_ID`. The token's own unless said. */
  readonly tenantId?: string | undefined;
  /** The gateway's address; else `SMARTERMCP_ENDPOINT`, else `https://mcp.smarterbot.cl`. */
  readonly endpoint?: string | undefined;
  /** How long one attempt may take, in milliseconds; 150 000 unless said, a little more than the gateway's own limits. */
  readonly timeoutMs?: number | undefined;
  /** How often a call is tried again after a failure that may pass; 3 unless said. */
  readonly maxRetries?: number | undefined;
  /** The longest wait that it is told and still waits, in milliseconds; 60 000 unless said. Told to wait longer, it fails. */
  readonly maxWaitMs?: number | undefined;
  /** Hears of each request, answer and repetition. Neither tokens nor arguments are told. */
  readonly log?: ((event: LogEvent) => void) | undefined;
  /** Sends the requests, instead of the platform's `fetch`. */
  readonly fetch?: typeof fetch | undefined;
}

/** What one call may be told. */
export interface CallOptions {
  /** Ends the call, with this signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** As in {@link Options}, for this call. */
  readonly timeoutMs?: number | undefined;
  /** As in {@link Options}, for this call. */
  readonly maxRetries?: number | undefined;
  /** As in {@link Options}, for this call. */
  readonly maxWaitMs?: number | undefined;
  /** The key of a write, 1 to 255 visible ASCII characters; made for each call unless said. The same key works once in 24 h. */
  readonly idempotencyKey?: string | undefined;
}

/** Options, checked and complete. */
export interface Settings {
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly maxRetries: number;
  readonly maxWaitMs: number;
  readonly log: (event: LogEvent) => void;
  readonly fetch: typeof fetch;
}

const ENDPOINT = 'https://mcp.smarterbot.cl';
/** What a timer can wait: 2³¹ milliseconds and more end at once. */
const TIMER_MAX = 2 ** 31 - 1;

/** Checks the options, and fills in what was left out. */
export function settings(options: Options): Settings {
  const token = options.apiToken ?? environment('SMARTERMCP_API_TOKEN');
  const tenant = options.tenantId ?? environment('SMARTERMCP_TENANT_ID');
  if (!token) throw wrong('There is no API token: give apiToken, or set SMARTERMCP_API_TOKEN');
  // Checked here: what `fetch` says of a header that it refuses would quote the token.
  if (!visible(token)) throw wrong('apiToken holds a space, a line break or another character that no token has');
  if (tenant && !visible(tenant)) throw wrong('tenantId holds a space, a line break or another character that no tenant has');
  return {
    endpoint: endpoint(options.endpoint ?? (environment('SMARTERMCP_ENDPOINT') || ENDPOINT)),
    headers: { authorization: `Bearer ${token}`, ...(tenant ? { 'x-tenant-id': tenant } : {}) },
    timeoutMs: number('timeoutMs', options.timeoutMs, 150_000, 1),
    maxRetries: number('maxRetries', options.maxRetries, 3, 0),
    maxWaitMs: number('maxWaitMs', options.maxWaitMs, 60_000, 0),
    log: logTo(options.log),
    // Called as a plain function: browsers refuse a `fetch` with another `this`.
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
  };
}

/** A number of an option or, where it was left out, the usual one. */
export function number(name: string, given: number | undefined, usual: number, least: number): number {
  if (given === undefined) return usual;
  if (!(given >= least && given <= TIMER_MAX)) throw wrong(`${name} must be a number from ${least} to ${TIMER_MAX}`);
  return given;
}

/** Whether a text can go into a header as it is: visible ASCII, and not too long. */
export function visible(text: string): boolean {
  return /^[\x21-\x7e]{1,4096}$/.test(text);
}

export function wrong(message: string): ConfigurationError {
  return new ConfigurationError(message, { code: 'configuration' });
}

function endpoint(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw wrong('endpoint is no URL; it looks like https://mcp.smarterbot.cl');
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw wrong('endpoint must begin with https:// or http://');
  if (url.username || url.password || url.search || url.hash)
    throw wrong('endpoint must be an address alone, without a user, a query or a fragment');
  // Without a question mark that nothing follows.
  return (url.origin + url.pathname).replace(/\/+$/, '');
}

/** The caller's hook. What it throws, at once or later, is told beside it and ends no call: the call is more than its log. */
function logTo(hook: Options['log']): (event: LogEvent) => void {
  if (hook === undefined) return () => {};
  return (event) => {
    new Promise<void>((resolve) => resolve(hook(event))).catch((error: unknown) => {
      globalThis.console?.error('smartermcp: the log hook failed', error);
    });
  };
}

function environment(name: string): string | undefined {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  try {
    return process?.env?.[name];
  } catch {
    // Deno without --allow-env: then nothing is set, as in a browser.
    return undefined;
  }
}
