// Transport: one call of a tool as HTTP requests, repeated where that may help and can do no harm.

import {
  ConfigurationError,
  ConnectionFailed,
  NotFoundError,
  NotSupportedByGateway,
  SmarterMCPError,
  TimedOut,
  UnexpectedAnswer,
  errorOf,
} from './errors.js';
import { events } from './events.js';
import { VERSION } from './generated/version.js';
import { number, settings, visible, wrong, type CallOptions, type Options, type Settings } from './options.js';
import { beside, page, pagePromise, type PagePromise } from './pages.js';
import { respell, type Shape } from './shape.js';

/** A method of the API: generated, one for each tool. */
export interface Operation {
  /** The tool's name, and how one writes it here: `crm.contacts.search`. */
  readonly tool: string;
  readonly method: string;
  /** The gateway's version that brought it. */
  readonly since: string;
  /** Whether it changes something, so that each call of it carries a key. */
  readonly writes?: true;
  readonly input?: Shape;
  readonly output?: Shape;
  /** The answer's list, as it is called here, and whether the answer is that list. */
  readonly items?: string;
  readonly isList?: true;
  /** The answer's map, where the answer is that map. */
  readonly entries?: string;
}

/** What the log hook hears. */
export interface LogEvent {
  readonly type: 'request' | 'response' | 'retry';
  /** The tool that is called, or what else is asked for: `whoami`. */
  readonly tool: string;
  /** From 1. */
  readonly attempt: number;
  /** Milliseconds that the request took, or, of a retry, that are waited before it. */
  readonly ms?: number | undefined;
  /** Of the answer; undefined where there was none. */
  readonly status?: number | undefined;
  /** What went wrong; undefined where nothing did. */
  readonly code?: string | undefined;
  readonly requestId?: string | undefined;
}

/** The most that an answer may hold. */
const ANSWER_MAX = 64 * 1024 * 1024;
/** The first pause before a repetition; each next one is twice as long, up to the last. */
const PAUSE_MS = 250;
const PAUSE_MAX_MS = 8000;

export class Transport {
  readonly #settings: Settings;
  readonly #closing = new AbortController();
  #gateway: string | undefined;

  constructor(options: Options) {
    this.#settings = settings(options);
  }

  /** Calls a tool, and answers its result as the API has it here. */
  async call<Result>(operation: Operation, parameters: object, options: CallOptions = {}): Promise<Result> {
    const answer = await this.#known(operation, () => this.send(request(operation, parameters, options), options));
    return (answer === undefined ? undefined : result(operation, answer)) as Result;
  }

  /** Calls a tool that answers a list. */
  list<Item, P extends { readonly nextCursor?: string | null }>(
    operation: Operation,
    parameters: object,
    options?: CallOptions,
  ): PagePromise<Item, P> {
    return pagePromise<Item, P>(
      this.call(operation, parameters, options),
      (cursor) => this.call(operation, { ...parameters, cursor }, options),
      (one) => (operation.isList ? one : ((one as Record<string, unknown>)[operation.items ?? ''] ?? [])) as readonly Item[],
    );
  }

  /** Calls a tool that answers line by line; what it returns at the end is the result as a whole. */
  async *lines<Result>(operation: Operation, parameters: object, options: CallOptions = {}): AsyncGenerator<string, Result, undefined> {
    const asked: Asked = { ...request(operation, parameters, options), accept: 'text/event-stream' };
    const { response, life } = await this.#known(operation, () => this.#repeat(asked, options, async (opened) => opened));
    try {
      if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
        const whole = result(operation, json(await text(response))) as { readonly lines: string[] };
        yield* whole.lines;
        return whole as Result;
      }
      // Of a stream the time limit is the longest silence.
      for await (const event of events(chunks(response, () => life.touch()))) {
        if (event.name === 'line') yield event.data;
        else if (event.name === 'error') throw errorOf(json(event.data), { status: statusOf(event.data), tool: operation.tool });
        else if (event.name === 'end') return result(operation, json(event.data)) as Result;
      }
      throw new Error('it ended in the middle');
    } catch (error) {
      if (error instanceof UnexpectedAnswer) Object.assign(error, details(response, asked));
      if (error instanceof SmarterMCPError) throw error;
      throw broken(life, error, asked);
    } finally {
      life.end();
    }
  }

  /** Asks for something, as often as it takes, and answers the JSON of what came. */
  async send(asked: Asked, options: CallOptions = {}): Promise<unknown> {
    return await this.#repeat(asked, options, async ({ response, life }) => {
      const body = await text(response);
      life.end();
      return response.status === 204 ? undefined : json(body);
    });
  }

  /** How the gateway does, whatever the status. */
  async health(options?: CallOptions): Promise<{ readonly version: string }> {
    const health = await this.send({ tool: 'health', method: 'GET', path: '/health', anyStatus: true }, options);
    if (typeof (health as { readonly version?: unknown }).version !== 'string') throw unreadable('/health tells no version');
    return health as { readonly version: string };
  }

  /** The gateway's version, asked for once. */
  async gatewayVersion(options?: CallOptions): Promise<string> {
    return (this.#gateway ??= (await this.health(options)).version);
  }

  /** Ends what is under way, and takes no more calls. */
  close(): void {
    this.#closing.abort(CLOSED);
  }

  /** Does a call; where the gateway does not know the method, says which version does. */
  async #known<T>(operation: Operation, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof NotFoundError && (error.code === 'unknown_tool' || error.code === 'no_route'))) throw error;
      // A browser may not read /health of another origin; then the error says what is known here.
      const gateway = await this.gatewayVersion({ maxRetries: 0 }).catch(() => undefined);
      throw new NotSupportedByGateway(
        `${operation.method} needs a gateway of version ${operation.since} or newer, and this one ` +
          `${gateway === undefined ? 'does not know it' : `is ${gateway}`}. ` +
          `Upgrade the gateway, or use the package of its version; this package was made for ${VERSION}.`,
        { code: 'not_supported', status: error.status, requestId: error.requestId, tool: operation.tool, cause: error },
      );
    }
  }

  /** Sends until it succeeds, fails for good, or was tried often enough. `use` reads the answer of a success, as part of the attempt. */
  async #repeat<T>(asked: Asked, options: CallOptions, use: (opened: Opened) => Promise<T>): Promise<T> {
    const timeoutMs = number('timeoutMs', options.timeoutMs, this.#settings.timeoutMs, 1);
    const maxRetries = number('maxRetries', options.maxRetries, this.#settings.maxRetries, 0);
    const maxWaitMs = number('maxWaitMs', options.maxWaitMs, this.#settings.maxWaitMs, 0);
    for (let attempt = 1; ; attempt++) {
      const life = new Life(timeoutMs, [this.#closing.signal, options.signal], asked);
      const outcome = await this.#attempt(asked, attempt, life, use);
      if ('done' in outcome) return outcome.done;
      life.end();
      const { error, final } = outcome;
      const told = error instanceof SmarterMCPError && error.retryAfter !== undefined ? error.retryAfter * 1000 : undefined;
      const gaveUp = final || !(error instanceof SmarterMCPError && error.retryable) || attempt > maxRetries || (told ?? 0) > maxWaitMs;
      if (gaveUp) throw error;
      const pause = Math.min(PAUSE_MS * 2 ** (attempt - 1), PAUSE_MAX_MS);
      // Never before the time that was told, and not everybody at once.
      const ms = Math.round(told === undefined ? pause * (0.5 + Math.random() / 2) : told + pause * Math.random());
      this.#settings.log({ type: 'retry', tool: asked.tool, attempt: attempt + 1, ms, code: error.code });
      await pauseFor(ms, [this.#closing.signal, options.signal]).catch((reason: unknown) => {
        throw ended(reason, asked);
      });
    }
  }

  /** One request; what came of it is told to the log. */
  async #attempt<T>(asked: Asked, attempt: number, life: Life, use: (opened: Opened) => Promise<T>): Promise<Outcome<T>> {
    const { endpoint, headers, log, fetch } = this.#settings;
    const began = Date.now();
    const about = { tool: asked.tool, attempt };
    log({ type: 'request', ...about });
    let response: Response | undefined;
    let outcome: Outcome<T>;
    try {
      life.signal.throwIfAborted();
      response = await fetch(endpoint + asked.path, {
        method: asked.method,
        headers: {
          ...headers,
          accept: asked.accept ?? 'application/json',
          ...(asked.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(asked.idempotencyKey === undefined ? {} : { 'idempotency-key': asked.idempotencyKey }),
        },
        body: asked.body ?? null,
        signal: life.signal,
        // A POST that follows a redirect may become a GET.
        redirect: 'manual',
      });
      outcome =
        response.ok || asked.anyStatus
          ? { done: await use({ response, life }) }
          : // A replayed failure is this write's outcome, however often it is asked for.
            { error: await refusal(response, asked), final: response.headers.has('idempotent-replayed') };
    } catch (error) {
      // Who could not read an answer does not know of what.
      if (error instanceof UnexpectedAnswer) Object.assign(error, details(response, asked));
      outcome = { error: error instanceof SmarterMCPError ? error : broken(life, error, asked), final: false };
    }
    log({
      type: 'response',
      ...about,
      ms: Date.now() - began,
      status: response?.status,
      requestId: response && requestId(response),
      code: 'done' in outcome ? undefined : outcome.error instanceof SmarterMCPError ? outcome.error.code : 'aborted',
    });
    return outcome;
  }
}

/** A request, before any attempt. */
export interface Asked {
  readonly tool: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
  readonly accept?: string;
  readonly idempotencyKey?: string | undefined;
  /** Whatever the status, the answer is one. */
  readonly anyStatus?: true;
}

interface Opened {
  readonly response: Response;
  readonly life: Life;
}

type Outcome<T> = { readonly done: T } | { readonly error: unknown; readonly final: boolean };

/** Every tool is called by its name, its arguments as the body: the one form in which all arguments can be said exactly. */
function request(operation: Operation, parameters: object, options: CallOptions): Asked {
  const given = Object.fromEntries(Object.entries(parameters).filter(([, value]) => value != null));
  const key = operation.writes ? (options.idempotencyKey ?? newKey()) : undefined;
  return byName(operation.tool, respell(given, operation.input) as object, key);
}

/** The request that calls a tool by its name, with arguments as the wire has them. */
export function byName(tool: string, parameters: object, idempotencyKey: string | undefined): Asked {
  if (idempotencyKey !== undefined && !(visible(idempotencyKey) && idempotencyKey.length <= 255)) {
    throw wrong('idempotencyKey must be 1 to 255 visible ASCII characters, e.g. a UUID');
  }
  // Dots alone would lead to another route.
  if (['', '.', '..'].includes(tool)) throw wrong('a tool has a name, such as services_list');
  try {
    return { tool, method: 'POST', path: `/api/v1/tools/${encodeURIComponent(tool)}`, body: JSON.stringify(parameters), idempotencyKey };
  } catch (error) {
    throw wrong(`${tool}: it cannot be sent: ${(error as Error).message}`);
  }
}

/** A key that nobody else has. Not `randomUUID`, which a browser has on secure pages only. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** An answer as the API has it here: its list, its map, or the object. */
function result(operation: Operation, answer: unknown): unknown {
  const value = respell(answer, operation.output);
  const field = operation.isList ? operation.items : operation.entries;
  if (field === undefined) return value;
  const { [field]: point, ...rest } = value as Record<string, unknown>;
  if (typeof point !== 'object' || point === null || Array.isArray(point) !== (operation.isList === true))
    throw unreadable(`the answer has no ${field}`);
  if (Array.isArray(point)) return page(point, rest);
  // A name of the map could be `details`; none begins with a dollar sign.
  return beside(point, Object.fromEntries(Object.entries(rest).map(([name, one]) => [`$${name}`, one])));
}

/** How long an attempt lives: until it takes too long, the caller ends it, or the client is closed. */
class Life {
  readonly #controller = new AbortController();
  readonly #timeoutMs: number;
  readonly #asked: Asked;
  readonly #stops: (() => void)[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(timeoutMs: number, signals: readonly (AbortSignal | undefined)[], asked: Asked) {
    this.#timeoutMs = timeoutMs;
    this.#asked = asked;
    for (const signal of signals) {
      if (signal === undefined) continue;
      const abort = () => this.#controller.abort(signal.reason);
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort);
      this.#stops.push(() => signal.removeEventListener('abort', abort));
    }
    this.touch();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** There was a sign of life: the time begins anew. */
  touch(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const again =
        this.#asked.idempotencyKey === undefined
          ? ''
          : '; whether it was done is not known, and the same idempotencyKey asks without doing it twice';
      const { tool, idempotencyKey } = this.#asked;
      this.#controller.abort(
        new TimedOut(`No answer within ${this.#timeoutMs} ms${again}`, { code: 'client_timeout', retryable: true, tool, idempotencyKey }),
      );
    }, this.#timeoutMs);
  }

  /** Lets go of what would outlive the attempt, the connection included. */
  end(): void {
    clearTimeout(this.#timer);
    for (const stop of this.#stops.splice(0)) stop();
    this.#controller.abort(ENDED);
  }
}

const ENDED = new Error('the attempt has ended');
const CLOSED = new Error('the client is closed');

/** The error that an answer which is no success tells. */
async function refusal(response: Response, asked: Asked): Promise<SmarterMCPError> {
  const known = { ...details(response, asked), status: response.status, retryAfter: seconds(response.headers.get('retry-after')) };
  if (response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)) {
    return new UnexpectedAnswer('The endpoint redirects, and a token does not follow; set the endpoint to the address that it leads to', {
      ...known,
      code: 'redirected',
    });
  }
  return errorOf(parsed(await text(response)), known);
}

/** What an error says of the call and of the answer, if there was one. */
function details(response: Response | undefined, { tool, idempotencyKey }: Asked) {
  return { status: response?.status, requestId: response && requestId(response), tool, idempotencyKey };
}

function requestId(response: Response): string | undefined {
  return response.headers.get('x-request-id') ?? undefined;
}

/** Why an attempt broke: what ended its life, or what `fetch` says. */
function broken(life: Life, error: unknown, asked: Asked): unknown {
  if (life.signal.aborted && life.signal.reason !== ENDED) return ended(life.signal.reason, asked);
  const { tool, idempotencyKey } = asked;
  return new ConnectionFailed('The connection to the gateway failed, or broke off. Check the endpoint and the network', {
    code: 'connection_failed',
    retryable: true,
    tool,
    idempotencyKey,
    cause: error,
  });
}

/** What a call fails with that somebody ended: the caller's own reason, or that the client is closed. */
function ended(reason: unknown, { tool, idempotencyKey }: Asked): unknown {
  return reason === CLOSED ? new ConfigurationError('The client is closed', { code: 'closed', tool, idempotencyKey }) : reason;
}

async function pauseFor(ms: number, signals: readonly (AbortSignal | undefined)[]): Promise<void> {
  const given = signals.filter((signal) => signal !== undefined);
  for (const signal of given) signal.throwIfAborted();
  let stop = () => {};
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    const abort = (event: Event) => reject((event.target as AbortSignal).reason);
    for (const signal of given) signal.addEventListener('abort', abort);
    stop = () => {
      clearTimeout(timer);
      for (const signal of given) signal.removeEventListener('abort', abort);
    };
  }).finally(() => stop());
}

/** A body's text, as it comes. */
async function* chunks(response: Response, arrived = () => {}): AsyncGenerator<string, void, undefined> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    arrived();
    yield decoder.decode(value, { stream: true });
  }
  yield decoder.decode();
}

async function text(response: Response): Promise<string> {
  let whole = '';
  for await (const chunk of chunks(response)) {
    whole += chunk;
    if (whole.length > ANSWER_MAX) throw unreadable(`the answer has more than ${ANSWER_MAX} characters`);
  }
  return whole;
}

function json(body: string): unknown {
  const value = parsed(body);
  if (typeof value !== 'object' || value === null) throw unreadable('the answer is no JSON object');
  return value;
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    // Whoever asked says what that means.
    return undefined;
  }
}

export function unreadable(why: string): UnexpectedAnswer {
  return new UnexpectedAnswer(`This is not what a gateway answers: ${why}. Check the endpoint`, { code: 'unreadable_answer' });
}

/** `Retry-After`: seconds, or, from a proxy, a date (RFC 9110 §10.2.3). */
function seconds(header: string | null): number | undefined {
  if (header === null) return undefined;
  const told = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isNaN(told) ? undefined : Math.max(0, told);
}

function statusOf(problem: string): number {
  const { status } = (parsed(problem) ?? {}) as { readonly status?: unknown };
  return typeof status === 'number' ? status : 500;
}
