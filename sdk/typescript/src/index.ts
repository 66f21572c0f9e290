// @smartercl/mcp-client: what the package offers.

export { SmarterMCP, Tools, type Health, type Tool, type WhoAmI } from './client.js';
export {
  BackendDownError,
  BackendRefusedError,
  ConfigurationError,
  ConflictError,
  ConnectionFailed,
  ForbiddenError,
  GatewayError,
  InternalError,
  InvalidInputError,
  MalformedError,
  MethodNotAllowedError,
  NotConnectedError,
  NotFoundError,
  NotSupportedByGateway,
  QuotaSpentError,
  RateLimitedError,
  SmarterMCPError,
  TimeLimitError,
  TimedOut,
  TooLargeError,
  UnauthenticatedError,
  UnavailableError,
  UnexpectedAnswer,
  type ErrorDetails,
} from './errors.js';
export type * from './generated/types.js';
export { VERSION } from './generated/version.js';
export type { CallOptions, Options } from './options.js';
export type { Page, PagePromise } from './pages.js';
export type { LogEvent } from './transport.js';
