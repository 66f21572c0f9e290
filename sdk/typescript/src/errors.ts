// What can go wrong: a class for each kind of the gateway's failures, and for what this side finds; all of them a SmarterMCPError.

/** What an error says beside its message. */
export interface ErrorDetails {
  /** The same for programs, e.g. `rate_limited`; the gateway's docs/errors.md lists them. */
  readonly code: string;
  /** The HTTP status, where there was an answer. */
  readonly status?: number | undefined;
  /** Whether the same call may succeed later. */
  readonly retryable?: boolean | undefined;
  /** How many seconds the gateway asks to wait. */
  readonly retryAfter?: number | undefined;
  /** The request's id: finds the call in the gateway's log and audit. */
  readonly requestId?: string | undefined;
  /** The tool that was called. */
  readonly tool?: string | undefined;
  /** The key that a write was sent with: the same call with this key is never done twice. */
  readonly idempotencyKey?: string | undefined;
  readonly cause?: unknown;
}

/** Any failure of this package. Its message says what happened and what you can do; it holds no token and nothing of what was sent. */
export class SmarterMCPError extends Error {
  // Said by each class itself: bundlers rename classes, and TypeScript tells classes of the same form apart by it.
  override readonly name: string = 'SmarterMCPError';
  readonly code: string;
  readonly status: number | undefined;
  readonly retryable: boolean;
  readonly retryAfter: number | undefined;
  readonly requestId: string | undefined;
  readonly tool: string | undefined;
  readonly idempotencyKey: string | undefined;

  constructor(message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = details.code;
    this.status = details.status;
    this.retryable = details.retryable ?? false;
    this.retryAfter = details.retryAfter;
    this.requestId = details.requestId;
    this.tool = details.tool;
    this.idempotencyKey = details.idempotencyKey;
  }
}

/**
 * The client cannot be made, or a call cannot be sent, with these options. Nothing was sent; only where the client was closed (`closed`)
 * while a write was under way, that may have been done, and the same call with its `idempotencyKey` is done once.
 */
export class ConfigurationError extends SmarterMCPError {
  override readonly name = 'ConfigurationError';
}

/**
 * The gateway could not be reached, or the connection broke, in every attempt.
 * A write may have been done: the same call with its `idempotencyKey` is done once.
 */
export class ConnectionFailed extends SmarterMCPError {
  override readonly name = 'ConnectionFailed';
}

/**
 * The gateway did not answer within `timeoutMs`, in every attempt.
 * A write may have been done: the same call with its `idempotencyKey` is done once.
 */
export class TimedOut extends SmarterMCPError {
  override readonly name = 'TimedOut';
}

/**
 * The gateway, or somebody before it, answered what this version of the package cannot read.
 * A write may have been done: `idempotencyKey` is what it was sent with.
 */
export class UnexpectedAnswer extends SmarterMCPError {
  override readonly name = 'UnexpectedAnswer';
}

/** The gateway does not know the method: it is older, or much newer, than this package. */
export class NotSupportedByGateway extends SmarterMCPError {
  override readonly name = 'NotSupportedByGateway';
}

/** The gateway refused a call, or failed at it. The classes below tell the kinds apart; `code` says more exactly what it was. */
export class GatewayError extends SmarterMCPError {
  override readonly name: string = 'GatewayError';
}

/** The request cannot be read. */
export class MalformedError extends GatewayError {
  override readonly name = 'MalformedError';
}

/** The token is unknown, expired or revoked. */
export class UnauthenticatedError extends GatewayError {
  override readonly name = 'UnauthenticatedError';
}

/** The token may not do this: it lacks the scope, or the operator has forbidden it. */
export class ForbiddenError extends GatewayError {
  override readonly name = 'ForbiddenError';
}

/** It is not there, or it is another tenant's: nobody is told which. */
export class NotFoundError extends GatewayError {
  override readonly name = 'NotFoundError';
}

/** The path does not take that HTTP method. */
export class MethodNotAllowedError extends GatewayError {
  override readonly name = 'MethodNotAllowedError';
}

/** It does not fit how things stand. Of a write whose outcome nobody knows, `code` is `outcome_unknown`. */
export class ConflictError extends GatewayError {
  override readonly name = 'ConflictError';
}

/** The tenant has not connected the backend. */
export class NotConnectedError extends GatewayError {
  override readonly name = 'NotConnectedError';
}

/** What was sent is too large. */
export class TooLargeError extends GatewayError {
  override readonly name = 'TooLargeError';
}

/** A value is wrong; the message names it, and what it takes. */
export class InvalidInputError extends GatewayError {
  override readonly name = 'InvalidInputError';
}

/** Too many calls, again and again, or the wait that the gateway asks for is longer than the client waits (`maxWaitMs`). */
export class RateLimitedError extends GatewayError {
  override readonly name = 'RateLimitedError';
}

/** The plan's quota of this month is spent. */
export class QuotaSpentError extends GatewayError {
  override readonly name = 'QuotaSpentError';
}

/** The gateway's fault; its operator finds the reason under the request id. */
export class InternalError extends GatewayError {
  override readonly name = 'InternalError';
}

/** The tenant's backend answered with a refusal or with nonsense. */
export class BackendRefusedError extends GatewayError {
  override readonly name = 'BackendRefusedError';
}

/** The tenant's backend cannot be reached, or is not well. */
export class BackendDownError extends GatewayError {
  override readonly name = 'BackendDownError';
}

/** The gateway itself cannot take the call now. */
export class UnavailableError extends GatewayError {
  override readonly name = 'UnavailableError';
}

/** The gateway's time limit for the tool, or for its backend, was over. */
export class TimeLimitError extends GatewayError {
  override readonly name = 'TimeLimitError';
}

/** The kinds, by the status and the title (RFC 9457) by which the gateway tells them. */
export const KINDS: readonly (readonly [status: number, title: string, kind: Kind])[] = [
  [400, 'The request cannot be read', MalformedError],
  [401, 'Unauthorized', UnauthenticatedError],
  [403, 'Not allowed', ForbiddenError],
  [404, 'Not found', NotFoundError],
  [405, 'Method not allowed', MethodNotAllowedError],
  [409, 'Conflict', ConflictError],
  [409, 'Backend not connected', NotConnectedError],
  [413, 'The request is too large', TooLargeError],
  [422, 'A value in the request is wrong', InvalidInputError],
  [429, 'Rate limit exceeded', RateLimitedError],
  [429, 'Quota spent', QuotaSpentError],
  [500, 'Internal error', InternalError],
  [502, 'The backend refused', BackendRefusedError],
  [503, 'The backend is unavailable', BackendDownError],
  [503, 'Temporarily unavailable', UnavailableError],
  [504, 'Time limit exceeded', TimeLimitError],
];

type Kind = new (message: string, details: ErrorDetails) => GatewayError;

/** Longer messages say nothing more. */
const MESSAGE_MAX = 4000;
/** What may pass, of what a proxy answers for a gateway that it does not reach. */
const PASSING = [429, 502, 503, 504];

/** The error that an answer tells; of a kind that is newer than this package, the nearest one by status. */
export function errorOf(body: unknown, details: Omit<ErrorDetails, 'code'> & { readonly status: number }): SmarterMCPError {
  const { status } = details;
  if (!isProblem(body)) {
    return new UnexpectedAnswer(
      `HTTP ${status}, and not in the gateway's words: somebody else answered. Check the endpoint, and what stands before the gateway.`,
      {
        ...details,
        code: 'not_the_gateway',
        retryable: PASSING.includes(status),
      },
    );
  }
  const near = KINDS.filter(([one]) => one === status);
  const [, , kind] = near.find(([, title]) => title === body.title) ?? near[0] ?? [0, '', status >= 500 ? InternalError : GatewayError];
  const said = body.detail.slice(0, MESSAGE_MAX);
  return new kind(status === 401 ? `${said}. ${REMEDY}` : said, {
    ...details,
    code: body.code,
    retryable: body.retryable === true,
    retryAfter: details.retryAfter ?? (typeof body.retry_after === 'number' ? Math.max(0, body.retry_after) : undefined),
    requestId: details.requestId ?? body.request_id,
  });
}

const REMEDY =
  'Pass a token that works as apiToken, or set SMARTERMCP_API_TOKEN. An administrator of your tenant issues one (client.tokens.create).';

interface Problem {
  readonly title: string;
  readonly detail: string;
  readonly code: string;
  readonly retryable?: unknown;
  readonly retry_after?: unknown;
  readonly request_id?: string;
}

function isProblem(body: unknown): body is Problem {
  const problem = body as Partial<Problem> | null | undefined;
  return typeof problem?.detail === 'string' && typeof problem.code === 'string';
}
