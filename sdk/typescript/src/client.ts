// The client: the API's resources, and what is no tool, over one transport.

/// <reference lib="esnext.disposable" preserve="true" />

import { Resources } from './generated/resources.js';
import type { CallOptions, Options } from './options.js';
import { guarded, respell, type Shape } from './shape.js';
import { Transport, byName, newKey, unreadable } from './transport.js';

/**
 * A client of a SmarterMCP gateway, for one token.
 *
 * @example
 * const client = new SmarterMCP({ apiToken: 'smcp_…' });
 * const services = await client.services.list({ filter: 'backend' });
 */
export class SmarterMCP extends Resources {
  /** The tools by their names. */
  readonly tools: Tools;
  readonly #transport: Transport;

  /** @throws ConfigurationError where an option is wrong, or there is no token. */
  constructor(options: Options = {}) {
    const transport = new Transport(options);
    super(transport);
    this.#transport = transport;
    this.tools = new Tools(transport);
  }

  /** Shows whose token this is, its limits, and what is left of the plan. */
  async whoami(options?: CallOptions): Promise<WhoAmI> {
    return respell(await this.#transport.send({ tool: 'whoami', method: 'GET', path: '/api/v1/whoami' }, options), WHOAMI) as WhoAmI;
  }

  /** How the gateway does. An unhealthy one answers too. */
  async health(options?: CallOptions): Promise<Health> {
    return (await this.#transport.health(options)) as Health;
  }

  /** The gateway's version, e.g. `1.0.0`; asked for once. */
  gatewayVersion(options?: CallOptions): Promise<string> {
    return this.#transport.gatewayVersion(options);
  }

  /** Ends the calls that are under way; those to come fail. `await using` does it too. */
  async close(): Promise<void> {
    this.#transport.close();
  }

  declare [Symbol.asyncDispose]: () => Promise<void>;

  static {
    // Older browsers have no such symbol, and no `await using` either.
    const symbol: typeof Symbol.asyncDispose | undefined = Symbol.asyncDispose;
    if (symbol) Object.defineProperty(this.prototype, symbol, { value: this.prototype.close });
  }
}

/** The tools by their names: also those that are newer than this client. */
export class Tools {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Lists the tools that this token may call. */
  async list(options?: CallOptions): Promise<Tool[]> {
    const answer = await this.#transport.send({ tool: 'list_tools', method: 'GET', path: '/api/v1/tools' }, options);
    const { tools } = respell(answer, TOOLS) as { readonly tools?: Tool[] };
    if (!Array.isArray(tools)) throw unreadable('the answer has no tools');
    return tools;
  }

  /**
   * Calls a tool by its name. Arguments and answer are spelled as on the wire (`service_id`): what is not described here is not renamed.
   *
   * @example
   * const { execution_id } = await client.tools.call('workflows_trigger', { workflow_id: 'wf_backup_db' });
   */
  async call(
    name: string,
    parameters: Readonly<Record<string, unknown>> = {},
    options: CallOptions = {},
  ): Promise<Record<string, unknown>> {
    // It may be a write: a key that is not needed does no harm.
    const asked = byName(name, parameters, options.idempotencyKey ?? newKey());
    return guarded(((await this.#transport.send(asked, options)) ?? {}) as Record<string, unknown>);
  }
}

/** Whose token it is. */
export interface WhoAmI {
  /** Null for the operator. */
  readonly tenant: {
    readonly id: string;
    readonly slug: string;
    readonly name: string;
    readonly status: string;
    readonly timeZone: string;
    readonly locale: string;
  } | null;
  readonly tenantId: string | null;
  readonly tokenId: string | null;
  readonly operator: boolean;
  readonly scopes: string[];
  readonly agent: string | null;
  readonly expiresAt: string | null;
  /** The rate cells by name; null for the operator. */
  readonly limits: Readonly<Record<string, unknown>> | null;
  /** What is used and left of the plan. */
  readonly plan: Readonly<Record<string, unknown>> | null;
}

/** How the gateway does. */
export interface Health {
  readonly status: 'healthy' | 'degraded' | 'unhealthy' | (string & {});
  readonly version: string;
  /** Seconds. */
  readonly uptime: number;
  readonly services: Readonly<Record<string, string>>;
  readonly database: string;
  /** Where one is configured. */
  readonly redis?: string;
  /** Where one is configured. */
  readonly vault?: string;
  readonly timestamp: string;
}

/** A tool, as the gateway describes it. */
export interface Tool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly category: string;
  readonly scope: string;
  readonly method: string;
  readonly path: string;
  /** JSON Schema. */
  readonly inputSchema: Readonly<Record<string, unknown>>;
  /** JSON Schema. */
  readonly outputSchema: Readonly<Record<string, unknown>> | null;
  readonly annotations: Readonly<Record<string, unknown>>;
}

// These answers are no tools', and the API's document does not describe them.
const WHOAMI: Shape = {
  fields: {
    tenant: ['tenant', { fields: { time_zone: ['timeZone'] } }],
    tenant_id: ['tenantId'],
    token_id: ['tokenId'],
    expires_at: ['expiresAt'],
  },
};
const TOOLS: Shape = {
  fields: { tools: ['tools', { items: { fields: { input_schema: ['inputSchema'], output_schema: ['outputSchema'] } } }] },
};
